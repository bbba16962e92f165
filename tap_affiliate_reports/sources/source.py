"""What a source offers to the tap: lists that are read at once, and reports made by exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Protocol

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, ExportSource
from tap_affiliate_reports.exports.order import Limits
from tap_affiliate_reports.schema import Column
from tap_affiliate_reports.settings import ReportOptions


@dataclass(frozen=True)
class ListSpec:
    """A stream that is one list of the API.

    `records` takes the bookmark, None before the first sync, and yields all records to emit.
    """

    name: str
    schema: dict[str, Any]
    primary_keys: Sequence[str]
    records: Callable[[str | None], Iterable[dict[str, Any]]]
    replication_key: str | None = None


@dataclass(frozen=True)
class ReportSpec:
    """A report that is a stream: its id, the stream's name, and how it is to be loaded.

    `columns` and `has_dates` take the id and may ask the service, once. `allowed` is false where
    the settings name other reports. A file whose header has fewer than `least_columns` of them is
    none of this report.
    """

    id: str
    stream: str
    options: ReportOptions
    columns: Callable[[str], Sequence[Column]]
    has_dates: Callable[[str], bool]
    allowed: bool = True
    least_columns: int = 1


@dataclass
class FinishedExports:
    """The finished exports of one kind, oldest first.

    `waiting` is when others were finished that can't be loaded yet; `parts` are the finished parts
    of a whole, by its id; `problems` say what else could not be understood.
    """

    jobs: list[ExportJob] = field(default_factory=list)
    waiting: list[datetime] = field(default_factory=list)
    parts: dict[str, list[ExportJob]] = field(default_factory=dict)
    problems: list[TapError] = field(default_factory=list)


@dataclass(frozen=True)
class FileSpec:
    """A stream of the rows of finished exports, whoever asked for them.

    `finished` takes the moment from which none may be missing; None for whatever is listed.
    `create` is asked for in each sync.
    """

    name: str
    finished: Callable[[datetime | None], FinishedExports]
    create: Sequence[ExportRequest] = ()


@dataclass(frozen=True)
class SourcePolicy:
    """What a source's settings say of all its reports.

    `max_age` is how old the file of an unsettled window may be; `programs` is ("",) for all
    programs in one export; `catalog_decides` says that the settings name no reports; `keeps_jobs`
    that a job of an earlier run can be asked for. `zone_setting` names the setting that replaces
    the account's own time zone, "" where it is set or the account has none.
    """

    limits: Limits
    max_age: timedelta = timedelta(hours=20)
    programs: tuple[str, ...] = ("",)
    catalog_decides: bool = False
    keeps_jobs: bool = True
    zone_setting: str = ""


def flow_limits(settings: Mapping[str, Any], *, max_exports: int | None) -> Limits:
    """Return the limits that every source's settings have."""
    return Limits(
        max_exports=max_exports,
        max_concurrent_jobs=int(settings.get("max_concurrent_jobs", 5)),
        poll_interval=float(settings.get("poll_interval_seconds", 2)),
        job_timeout=float(settings.get("job_timeout_seconds", 5400)),
    )


def account_label(settings: Mapping[str, Any]) -> str:
    """Return the value of `_account` for a source without an account id; a blank is not set."""
    label = str(settings.get("account", ""))
    return label if label.strip() else "default"


class Source(Protocol):
    """One configured system; `name` is its settings key, `account` the value of `_account`.

    `old_account` is what version 0.1.0 put into `_account`.
    """

    name: str
    account: str
    old_account: str
    policy: SourcePolicy

    @property
    def exports(self) -> ExportSource:
        """The dialect of the export flow."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The zone of the account's days."""
        ...

    def check_credentials(self) -> None:
        """Raise Unauthorized where the credentials are bad."""
        ...

    def lists(self) -> Sequence[ListSpec]:
        """Return the streams that are lists."""
        ...

    def reports(self) -> Sequence[ReportSpec]:
        """Return the reports that can be exported."""
        ...

    def files(self) -> Sequence[FileSpec]:
        """Return the streams of finished exports' rows."""
        ...

    def prefetch(self, reports: Iterable[ReportSpec]) -> None:
        """Fetch side by side what the columns of these reports need."""
        ...
