"""Hi Energy AI and Instal.com of a few rows each, and what a warehouse must hold of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness import Warehouse

    from tap_affiliate_reports.sandbox import Sandbox
    from tap_affiliate_reports.sandbox.hienergy import SandboxExport

CSV, DEALS, HOT, CLICKS = (
    "advertisers_csv",
    "deals_excel",
    "hot_advertisers_excel",
    "clicks_details_excel",
)
FILES = (CSV, DEALS, HOT, CLICKS)
REPORT = "advertiser_report"
KEYS = {"hienergy": {"api_key": "sandbox-key"}, "instal": {"auth_token": "sandbox-token"}}
HEADER = ("Id", "Name", "Amount")
CREATE = {"report_type": CLICKS, "search_params": {"days": 7}}


def config_of(sandbox: Sandbox, start: date, **sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of these sources of a running sandbox."""
    return {
        "start_date": start.isoformat(),
        **{
            name: {**KEYS[name], "api_url": sandbox.base_url(name), **own}
            for name, own in sources.items()
        },
    }


# Hi Energy AI


def rows_of(label: str, count: int = 3) -> list[Sequence[Any]]:
    """Return the rows of an export's file, no two files the same."""
    return [(f"{label}-{number}", f'{label}, "{number}"', number) for number in range(1, count + 1)]


def add(sandbox: Sandbox, kind: str, label: str, count: int = 3, **options: Any) -> SandboxExport:
    """Add an export that is finished, unless the options say otherwise."""
    return sandbox.hienergy.add(kind, HEADER, rows_of(label, count), **options)


def add_parent(sandbox: Sandbox, kind: str, label: str, **options: Any) -> SandboxExport:
    """Add an export in two parts, whose rows are the parent's."""
    parent = add(sandbox, kind, label, 4, **options)
    rows = rows_of(label, 4)
    for part in (rows[:2], rows[2:]):
        sandbox.hienergy.add(kind, HEADER, part, parent=parent)
    return parent


def wanted_exports(sandbox: Sandbox, kind: str, start: date) -> dict[int, SandboxExport]:
    """Return the finished exports of a kind that have rows of their own, by id."""
    now, service = sandbox.now(), sandbox.hienergy
    since = datetime.combine(start, datetime.min.time(), tzinfo=timezone.utc)

    def has_rows(export: SandboxExport) -> bool:
        return export.status(now) == "completed" and export.has_file

    return {
        export.id: export
        for export in service.exports.values()
        if export.report_type == kind
        and has_rows(export)
        and export.completed >= since
        and not (
            export.parent in service.exports
            and (
                has_rows(service.exports[export.parent])
                or service.exports[export.parent].status(now) in {"pending", "processing"}
            )
        )
    }


def check_files(sandbox: Sandbox, warehouse: Warehouse, start: date) -> None:
    """Check that the warehouse has the rows of all finished files, no more and no less."""
    for kind in FILES:
        check_kind(sandbox, warehouse, kind, start)


def check_kind(sandbox: Sandbox, warehouse: Warehouse, kind: str, start: date) -> None:
    """Check the rows of one kind of file."""
    held = {
        (row["_export_id"], row["_row_number"]): _cells(row.get(name) for name in HEADER)
        for row in warehouse.tables[kind].values()
    }
    there = {
        (export.id, number): _cells(row)
        for export in wanted_exports(sandbox, kind, start).values()
        for number, row in enumerate(export.table()[1], 1)
    }
    assert held == there, kind


def check_mark(
    sandbox: Sandbox,
    warehouse: Warehouse,
    state: Mapping[str, Any],
    start: date,
    late: timedelta = timedelta(0),
) -> None:
    """Check that every file older than a bookmark was taken; some are listed `late`."""
    for kind in FILES:
        mark = state.get("bookmarks", {}).get(kind, {}).get("replication_key_value")
        held = {row["_export_id"] for row in warehouse.tables[kind].values()}
        for number, export in wanted_exports(sandbox, kind, start).items():
            if mark:
                passed = datetime.fromisoformat(mark.replace("Z", "+00:00")) - late
                assert number in held or export.completed >= passed, f"{kind}: {number}, {mark}"


def _cells(values: Iterable[Any]) -> tuple[str | None, ...]:
    return tuple(
        None
        if value in {None, ""}
        else format(Decimal(str(value)).normalize(), "f")
        if _is_number(value)
        else str(value)
        for value in values
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal, float)) or str(value).replace(".", "").isdecimal()


# Instal.com


def put(sandbox: Sandbox, day: date, costs: Iterable[str]) -> None:
    """Give a day one row for each of these costs."""
    sandbox.instal.set_rows(
        day,
        [
            {
                "aff_sub_id": f"a-{number}",
                "campaign": 'Tram, "Deluxe"',
                "campaign_id": "4177",
                "clicks_aggr": str(number),
                "cost_aggr": cost,
                "version_os": "4.4.2",
            }
            for number, cost in enumerate(costs)
        ],
    )


def put_all(sandbox: Sandbox, start: date, days: int) -> None:
    """Give each of these days one row or two."""
    for number in range(days):
        put(sandbox, start + timedelta(days=number), [f"{number}.25", "7.5"][: 1 + number % 2])


def check_report(sandbox: Sandbox, warehouse: Warehouse, start: date, end: date) -> None:
    """Check that the warehouse shows what Instal.com has now, no more and no less."""
    names = ("aff_sub_id", "time", "campaign", "campaign_id", "clicks_aggr", "cost_aggr")
    held = sorted(_cells(row[name] for name in names) for row in warehouse.live(REPORT))
    rows = sandbox.instal.rows(start, end)
    assert held == sorted(_cells(row[name] for name in names) for row in rows)
