"""The contract of a network: its settings, its lists, and the reports and files of its exports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, ClassVar

from requests.auth import AuthBase
from singer_sdk import typing as th

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import Rejected, TapError, UnknownJobState
from tap_affiliate_reports.exports.job import (
    ExportJob,
    ExportKind,
    ExportRequest,
    ExportSource,
    JobState,
)
from tap_affiliate_reports.exports.order import Limits
from tap_affiliate_reports.http import ApiClient, ErrorFormat
from tap_affiliate_reports.schema import Column
from tap_affiliate_reports.zones import ZoneChoice


@dataclass(frozen=True)
class ListSpec:
    """A stream that is one list of the API.

    `records` accepts the bookmark, None before the first sync, and yields all records to emit.
    """

    name: str
    schema: dict[str, Any]
    primary_keys: Sequence[str]
    records: Callable[[str | None], Iterable[dict[str, Any]]]
    replication_key: str | None = None
    description: str = ""


@dataclass(frozen=True)
class ReportOptions:
    """The options of one report: its own, else those of its network.

    `window` None is `month`, or a snapshot for a report without dates. `programs` are exported
    separately; ("",) is all programs in one export. `window_settings` are settings of the network
    alone that define a window, by their name in the state's fingerprint.
    """

    lookback: timedelta
    window: str | None = None
    programs: tuple[str, ...] = ("",)
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    primary_keys: tuple[str, ...] = ()
    mode: str = "export"
    window_settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportSpec:
    """A report that is a stream: its id, the stream's name, and how it is loaded.

    `columns` and `has_dates` accept the id and may send a request, once. `allowed` is false where
    the settings name other reports; `selected_by_default` is whether it is selected without a
    catalog, `selected_if_omitted` whether also by a catalog that does not have it. `names_in`
    returns the names of a file's header as the columns have them. A file whose header has fewer
    than `least_columns` of the columns is refused. With `newest_first`, new windows are loaded
    from the last one back, and one that fails does not stop the others.
    """

    id: str
    stream: str
    options: ReportOptions
    columns: Callable[[str], Sequence[Column]]
    has_dates: Callable[[str], bool]
    allowed: bool = True
    selected_by_default: bool = True
    selected_if_omitted: bool = False
    names_in: Callable[[Sequence[str]], Sequence[str]] = lambda header: header
    least_columns: int = 1
    description: str = ""
    kind: ExportKind = field(default_factory=ExportKind)
    newest_first: bool = False


@dataclass
class FinishedExports:
    """The finished exports of one kind, oldest first.

    `waiting` holds when other exports were finished that can't be loaded yet; `parts` are the
    finished parts of a parent, by its id; `problems` are the exports that could not be read.
    """

    jobs: list[ExportJob] = field(default_factory=list)
    waiting: list[datetime] = field(default_factory=list)
    parts: dict[str, list[ExportJob]] = field(default_factory=dict)
    problems: list[TapError] = field(default_factory=list)


@dataclass(frozen=True)
class FileSpec:
    """A stream of the rows of finished exports, whoever requested them.

    `finished` accepts the time from which no export may be missing; None returns whatever is
    listed. `create` is requested in each sync.
    """

    name: str
    finished: Callable[[datetime | None], FinishedExports]
    create: Sequence[ExportRequest] = ()


@dataclass(frozen=True)
class SourcePolicy:
    """The settings of a network that hold for all of its reports.

    `max_age` is how old the file of an unsettled window may be; `kinds` are the kinds of exports
    that a run may request; `catalog_decides` means that the settings name no reports; `keeps_jobs`
    that a job of an earlier run can be polled. `zone_setting` names the setting that replaces the
    account's own time zone, "" where it is set or the account has none.
    """

    limits: Limits
    max_age: timedelta = timedelta(0)
    kinds: tuple[ExportKind, ...] = (ExportKind(),)
    catalog_decides: bool = False
    keeps_jobs: bool = True
    zone_setting: str = ""


def api_client(
    settings: Mapping[str, Any],
    auth: AuthBase,
    *,
    clock: Clock,
    user_agent: str,
    secrets: tuple[str, ...],
    headers: Mapping[str, str] | None = None,
    error_format: ErrorFormat | None = None,
) -> ApiClient:
    """Return a client of the base URL in the settings; relative paths are below it."""
    return ApiClient(
        base_url=str(settings["api_url"]).rstrip("/") + "/",
        auth=auth,
        headers={"Accept": "application/json", "User-Agent": user_agent, **(headers or {})},
        clock=clock,
        secrets=secrets,
        max_wait_seconds=float(settings["max_wait_seconds"]),
        error_format=error_format or ErrorFormat(),
    )


def flow_limits(settings: Mapping[str, Any]) -> Limits:
    """Return the limits of the jobs in the export queue."""
    return Limits(
        max_concurrent_jobs=int(settings["max_concurrent_jobs"]),
        poll_interval=float(settings["poll_interval_seconds"]),
        job_timeout=float(settings["job_timeout_seconds"]),
    )


def job_state(
    states: Mapping[str, JobState], word: str, job: str, safe_message: Callable[[str], str]
) -> JobState:
    """Return the state that a service's word stands for; raises UnknownJobState for another."""
    state = states.get(word.strip().upper())
    if state is None:
        msg = f"{job}: unknown state {safe_message(word)!r}; known are {', '.join(states)}"
        raise UnknownJobState(msg)
    return state


def account_label(settings: Mapping[str, Any]) -> str:
    """Return `_account` of a network without account ids: the setting `account`, unless blank."""
    label = str(settings.get("account", ""))
    return label if label.strip() else "default"


class Source(ABC):
    """One configured network.

    `name` is its key in the settings, `account` the value of `_account`, `old_account` the value
    that version 0.1.0 wrote. `settings` have the defaults of the schema filled in, and `start` is
    the first day to load.
    """

    name: ClassVar[str]
    DESCRIPTION: ClassVar[str]
    SETTINGS: ClassVar[th.ObjectType]
    REQUIRED: ClassVar[Sequence[str]]
    """The settings without which the network can't be used; they are sent in headers."""

    account: str
    old_account: str
    policy: SourcePolicy
    client: ApiClient
    exports: ExportSource

    @abstractmethod
    def __init__(
        self, settings: Mapping[str, Any], *, start: date, clock: Clock, user_agent: str
    ) -> None: ...

    @staticmethod
    def check(settings: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG004
        """Yield what the JSON schema can't refuse, each line beginning with the setting."""
        yield from ()

    @property
    @abstractmethod
    def zone(self) -> tzinfo:
        """The zone of the account's days."""

    @property
    def zone_choice(self) -> ZoneChoice:
        """The zone of the account's days, and where it comes from."""
        return ZoneChoice(self.zone, "in which the service writes its dates")

    @abstractmethod
    def check_credentials(self) -> None:
        """Send a cheap request; raises Unauthorized if the service refuses the credentials."""

    def check_jobs(self) -> None:
        """Send a cheap request to what shows the jobs; raises Forbidden without that scope."""
        self.check_credentials()

    def lists(self) -> Sequence[ListSpec]:
        """Return the streams that are lists."""
        return ()

    def reports(self) -> Sequence[ReportSpec]:
        """Return the reports that can be exported."""
        return ()

    def streams_turned_off(self) -> Sequence[str]:
        """Return the streams that a setting turns off; a state or a catalog may still have them."""
        return ()

    def files(self) -> Sequence[FileSpec]:
        """Return the streams of finished exports' rows."""
        return ()

    def prefetch(self, reports: Iterable[ReportSpec]) -> None:  # noqa: B027
        """Fetch in parallel what the columns of these reports need."""

    def preview(self, request: ExportRequest, rows: int, target: Path) -> None:  # noqa: ARG002
        """Store the first rows of a synchronous request, in the format of the request.

        Raises Rejected if the network has no endpoint that answers at once.
        """
        msg = (
            f"{request.report}: a preview would need an export, because {self.name} has no "
            "endpoint that returns its rows at once"
        )
        raise Rejected(msg)
