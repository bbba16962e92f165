"""The chain into Snowflake: sandbox -> tap -> target-snowflake -> a stand-in for Snowflake."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from databases import Row
from harness import FakeClock, config_for, sync
from meltano_project import Meltano
from snowflake_stand_in import SnowflakeStandIn, install, installation_error
from test_chain import (
    POSTGRES,
    REPORTS,
    TABLES,
    Days,
    environment,
    expected,
    loaded,
    newest_files,
    running,
)

from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

if TYPE_CHECKING:
    from singer_sdk.singerlib import Message

pytestmark = [pytest.mark.slow, pytest.mark.chain]

WAYS = ["record", "jsonl", "arrow"]
TAP = "TAP_AFFILIATE_REPORTS_"
# A NUMBER(38, 18) is a Decimal, too, and a TIMESTAMP_NTZ a datetime in UTC.
SNOWFLAKE = POSTGRES


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Meltano:
    """Meltano with the tap and the loader, whose Snowflake is fakesnow."""
    if reason := installation_error():
        pytest.skip(f"fakesnow can't be installed: {reason}")
    return install(tmp_path_factory.mktemp("snowflake") / "meltano")


@pytest.fixture
def snowflake(installed: Meltano, tmp_path: Path) -> SnowflakeStandIn:
    return SnowflakeStandIn(installed, tmp_path / "warehouse")


def batch_config(way: str, folder: Path) -> dict[str, Any] | None:
    """Return the setting of that name with which rows go this way."""
    if way == "record":
        return None
    return {"encoding": {"format": way}, "storage": {"root": (folder / "batches").as_uri()}}


def orders(kept: dict[str, str]) -> Report:
    """Return a report that has these rows, key -> amount, on each window's first day."""
    return Report(
        "orders",
        columns=[Attribute("Id"), Attribute("Day", "Date"), Attribute("Amount", "Decimal")],
        rows=lambda start, *_: [
            [f"{start}-{key}", f"{start}", amount] for key, amount in kept.items()
        ],
    )


def check_orders(table: list[Row], sandbox: Sandbox) -> int:
    """Compare what is live with the newest files; return how many rows are marked as vanished."""
    live = [row for row in table if row["_SDC_DELETED_AT"] is None]
    assert not [row for row in live if row["_DELETED"]]
    newest = newest_files(sandbox, "orders")
    assert Counter((row["ID"], str(row["DAY"]), row["AMOUNT"]) for row in live) == Counter(
        (key, day, Decimal(amount)) for window in newest.values() for key, day, amount in window
    )
    return len([row for row in table if row["_DELETED"] and row["_SDC_DELETED_AT"]])


def check_audit(snowflake: SnowflakeStandIn) -> None:
    """Compare the audit with the tables: a window has the rows that its file has."""
    audit = snowflake.rows("report_windows")
    assert {row["STREAM"] for row in audit} == {*TABLES.values(), "orders"}
    for stream in (*TABLES.values(), "orders"):
        live = Counter(
            str(row["_WINDOW_START"])
            for row in snowflake.rows(stream)
            if row["_SDC_DELETED_AT"] is None
        )
        windows = {str(row["SLOT"]): row for row in audit if row["STREAM"] == stream}
        assert {slot: windows[slot]["ROWS_IN_FILE"] for slot in live} == live


@pytest.mark.parametrize("way", WAYS)
def test_two_nights_a_reload_and_a_full_refresh_land_as_the_service_has_them(
    snowflake: SnowflakeStandIn, tmp_path: Path, way: str
) -> None:
    days = Days()
    kept = {f"{number:02}": f"{number}.000000000000000001" for number in range(30)}
    with running(days) as sandbox:
        sandbox.impact.add(orders(kept))
        batch = batch_config(way, tmp_path)
        variables = (
            environment(TAP, sandbox)
            | {f"{TAP}IMPACT_REPORTS": json.dumps([*REPORTS, "orders"])}
            | {f"{TAP}USE_SINGER_DECIMAL": "true"}
            | ({f"{TAP}BATCH_CONFIG": json.dumps(batch)} if batch else {})
            | snowflake.environment
        )

        def load(*options: str, **more: str) -> int:
            """Load, compare all tables; return the exports that it took."""
            before = len(sandbox.impact.exports)
            snowflake.meltano(
                "run", "--no-install", "--state-id-suffix", tmp_path.name, *options,
                "tap-affiliate-reports", "target-snowflake", **variables | more,
            )  # fmt: skip
            for report, table in TABLES.items():
                rows = snowflake.rows(table)
                lowered = [{name.lower(): value for name, value in row.items()} for row in rows]
                assert loaded(lowered, report, sandbox) == expected(sandbox, report, SNOWFLAKE, "")
                keys = [
                    (row["_account"], row["_program_id"], row["_window_start"], row["_row_number"])
                    for row in lowered
                ]
                assert len(keys) == len(set(keys))
            check_audit(snowflake)
            return len(sandbox.impact.exports) - before

        first = load()
        assert check_orders(snowflake.rows("orders"), sandbox) == 0
        assert snowflake.types("mp_action_listing_fast")["PAYOUT"] == "DECIMAL(38,18)"
        for key in list(kept)[7:25:2]:
            del kept[key]
        days.ahead += timedelta(days=1)
        # The second night asks for the open slot of each of the five dated reports, no more.
        assert load() == 5 < first
        windows = len(newest_files(sandbox, "orders"))
        assert check_orders(snowflake.rows("orders"), sandbox) == 9 * windows
        kept["07"] = "1e-18"
        load(**{f"{TAP}RELOAD": "all"})
        assert check_orders(snowflake.rows("orders"), sandbox) == 8 * windows
        check_lists(snowflake, sandbox)
        sandbox.impact.jobs.clear()
        load("--full-refresh", **{f"{TAP}IMPACT_WINDOW": "week"})
        check_orders(snowflake.rows("orders"), sandbox)
        retired = [row for row in snowflake.rows("orders") if row["_SDC_DELETED_AT"]]
        assert {row["_DELETED"] for row in retired} == {False, True}
        if batch:
            assert list((tmp_path / "batches").iterdir()) == []


def check_lists(snowflake: SnowflakeStandIn, sandbox: Sandbox) -> None:
    reports = {row["ID"] for row in snowflake.rows("reports")}
    assert len(reports) == len(sandbox.impact.reports)
    metadata = {row["ID"]: row for row in snowflake.rows("report_metadata")}
    attributes = json.loads(metadata["12172"]["ATTRIBUTES"])
    assert len(attributes) == len(sandbox.impact.reports["12172"].columns)
    jobs = {row["ID"] for row in snowflake.rows("jobs")}
    assert jobs <= set(sandbox.impact.jobs)
    assert jobs


NAMES = ["order", "Has Space", "GROUP", "x" * 60, "same", "Same", 'quo"te', "Größe", "a.b-c/d"]
TEXT = 'He said "hi", it\'s\r\nline\n\\n \\ \t é 漢字 🎈 {"a": 1} $1:order % :x'
COLUMNS = [
    *[Attribute(name) for name in NAMES],
    Attribute("select", "Integer"),
    Attribute("Exact", "Decimal"),
    Attribute("is_it", "Boolean"),
    Attribute("Day", "Date"),
    Attribute("Moment", "Date (yyyy-MM-dd'T'HH:mm:ssXXX)"),
]
WORDS = [TEXT, "null", "NA", "007", "'", '"', "\\", "ß", " "]
# What the service has, and what is to be in the table.
ROWS: dict[str, tuple[list[str], list[Any]]] = {
    "odd": (
        [
            *WORDS, str(2**63 - 1), "12345678901234567890.123456789012345678", "true",
            "2026-11-01", "2026-11-01T22:00:00.123456-05:00",
        ],
        [
            *WORDS, 2**63 - 1, Decimal("12345678901234567890.123456789012345678"), True,
            date(2026, 11, 1), datetime(2026, 11, 2, 3, 0, 0, 123456),
        ],
    ),
    "nulls": ([""] * len(COLUMNS), [None] * len(COLUMNS)),
    "least": (
        [
            *WORDS, str(-(2**63)), "-0.000000000000000001", "false",
            "0001-01-01", "9999-12-31T00:00:00Z",
        ],
        [*WORDS, -(2**63), Decimal("-1e-18"), False, date(1, 1, 1), datetime(9999, 12, 31)],
    ),
    "unfit": ([*WORDS, str(2**63), "much", "maybe", "soon", "later"], [*WORDS, *[None] * 5]),
}  # fmt: skip


class Lines(LineWriter):
    """Keeps what the tap writes, byte by byte."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write_message(self, message: Message) -> None:
        self.write_lines(bytes(self.format_message(message)))

    def write_lines(self, lines: bytes) -> None:
        self.written += lines


@dataclass
class Nights:
    """Syncs of one report into the stand-in, each with the STATE that the loader gave back."""

    snowflake: SnowflakeStandIn
    config: dict[str, Any]
    clock: FakeClock
    state: dict[str, Any] = field(default_factory=dict)

    def night(self, **settings: Any) -> list[Row]:
        """Run the tap and the loader; return the table's rows, oldest window first."""
        lines = Lines()
        sync(self.config, self.clock, state=self.state, writer=lines).ok()
        self.state = self.snowflake.load(lines.written, **settings)
        self.clock.advance(days=1)
        (report,) = self.config["impact"]["reports"]
        rows = self.snowflake.rows(report)
        return sorted(rows, key=lambda row: (row["_WINDOW_START"], row["_ROW_NUMBER"]))


@pytest.fixture(params=WAYS)
def nights(
    request: pytest.FixtureRequest,
    snowflake: SnowflakeStandIn,
    sandbox: Sandbox,
    clock: FakeClock,
    tmp_path: Path,
) -> Nights:
    """Nights of the report `sales`, of two windows, by each way."""
    config = config_for(
        sandbox, reports=["sales"], START_DATE="2026-10-20", USE_SINGER_DECIMAL=True
    )
    batch = batch_config(request.param, tmp_path)
    return Nights(snowflake, config | ({"batch_config": batch} if batch else {}), clock)


def test_odd_names_and_values_land_exactly_and_rows_vanish_and_return(
    nights: Nights, sandbox: Sandbox
) -> None:
    there = list(ROWS)
    sandbox.impact.add(
        Report("sales", columns=COLUMNS, rows=lambda *_: [ROWS[name][0] for name in there])
    )
    names = [name.upper() for name in [*NAMES[:5], "Same_2", *NAMES[6:]]]
    names += [column.name.upper() for column in COLUMNS[len(NAMES) :]]

    def check(table: list[Row], count: int) -> None:
        """Compare each window's rows that are there; the others have a key and a mark only."""
        assert len(table) == 2 * len(ROWS)
        for row in table:
            number = row["_ROW_NUMBER"]
            values = [row[name] for name in names]
            assert row["_DELETED"] == (row["_SDC_DELETED_AT"] is not None) == (number > count)
            if number > count:
                assert set(values) == {None}
            else:
                assert values == ROWS[there[number - 1]][1]
        assert {type(row["EXACT"]) for row in table} == {Decimal, type(None)}

    table = nights.night()
    check(table, 4)
    unparsed = json.loads(table[3]["_UNPARSED"])
    assert unparsed == dict(
        zip((column.name for column in COLUMNS[-5:]), ROWS["unfit"][0][-5:], strict=True)
    )
    del there[2:]
    check(nights.night(), 2)
    there[:] = ["least", "unfit", "nulls", "odd"]
    check(nights.night(), 4)


def test_a_column_that_appears_in_the_middle_joins_the_table(
    nights: Nights, sandbox: Sandbox
) -> None:
    def raw(start: date | None, *_: Any) -> bytes:
        more = ("", "") if start and start.month == 10 else (",New One", ",x")
        return f"Id,Amount{more[0]}\n1,0.1{more[1]}\n".encode()

    columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
    sandbox.impact.add(Report("sales", columns=columns, raw=raw))
    for _ in range(2):
        table = nights.night()
        assert [(row["ID"], row["AMOUNT"]) for row in table] == [("1", Decimal("0.1"))] * 2
        assert [row["NEW ONE"] for row in table] == [None, "x"]


def test_with_append_only_each_load_of_a_row_stays(nights: Nights, sandbox: Sandbox) -> None:
    columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
    sandbox.impact.add(Report("sales", columns=columns, rows=lambda *_: [["1", "1.5"]]))
    nights.night(load_method="append-only")
    # Of the second night only the window under way is sent: the other one is unchanged.
    table = nights.night(load_method="append-only")
    assert [row["AMOUNT"] for row in table] == [Decimal("1.5")] * 3


@pytest.mark.parametrize("name", ["Conv %", "Sale :usd"])
def test_a_name_that_the_loader_can_not_quote_is_renamed_by_a_stream_map(
    snowflake: SnowflakeStandIn, sandbox: Sandbox, clock: FakeClock, name: str
) -> None:
    """The loader puts names into SQLAlchemy's text(), to which these signs mean something."""
    columns = [Attribute("Id"), Attribute(name)]
    sandbox.impact.add(Report("sales", columns=columns, rows=lambda *_: [["1", "a"]]))
    config = config_for(sandbox, reports=["sales"], START_DATE="2026-11-01")
    with pytest.raises(AssertionError, match="merge into"):
        Nights(snowflake, config, clock).night()
    config["stream_maps"] = {"sales": {name: "__NULL__", "Renamed": f"record[{name!r}]"}}
    (row,) = Nights(snowflake, config, clock).night()
    assert row["RENAMED"] == "a"
