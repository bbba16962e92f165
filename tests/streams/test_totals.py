"""The table at the end of a sync."""

from __future__ import annotations

from tap_affiliate_reports.streams.totals import StreamTotals, summary_lines


def test_columns_are_as_wide_as_what_they_hold_and_names_are_whole() -> None:
    sales = StreamTotals(loaded=12, rows=1_234_567, vanished=3, unparsed=61)
    long = "a_report_whose_name_is_longer_than_forty_characters"
    rows = [sales.summary("sales", 14, 13, "2026-10-31"), StreamTotals().summary(long, 1, 0, "")]
    assert summary_lines(rows) == [
        f"{'stream':51}  done  left     rows  vanished  unparsed  exports  bookmark",
        f"{'sales':51}    12     2  1234567         3        61       13  2026-10-31",
        f"{long}     0     1        0         0         0        0  -",
    ]


def test_a_table_of_usual_names_has_at_most_100_columns() -> None:
    totals = StreamTotals(loaded=9_999, rows=999_999_999, vanished=9_999_999, unparsed=9_999_999)
    rows = [totals.summary("partner_performance_by_program", 19_998, 999, "2026-10-31")]
    assert max(map(len, summary_lines(rows))) <= 100
