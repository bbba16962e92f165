"""The invented account's reports: about ten, each with a difficulty of the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tap_affiliate_reports.sandbox.data import Account, Action, money
from tap_affiliate_reports.sandbox.impact.report import DATE, DATE_FILTERS, Attribute, Report
from tap_affiliate_reports.sandbox.impact.rows import AccountRows, Cell, dated, listing, nothing


def _iso(action: Action, _moment: float) -> str:
    return action.happened.isoformat()


def _decided(action: Action, moment: float, status: str) -> str:
    if action.status(moment) != status:
        return ""
    zone = action.happened.tzinfo
    return datetime.fromtimestamp(action.decided, zone).isoformat(timespec="seconds")


ACTION_COLUMNS: tuple[tuple[str, str, str, Cell], ...] = (
    ("Action_Id", "String", "Identifier of the action", lambda a, _: a.id),
    ("Campaign", "String", "Name of the program", lambda a, _: a.program.name),
    ("Campaign_Id", "Integer", "Identifier of the program", lambda a, _: a.program.id),
    ("Status", "String", "PENDING, APPROVED or REVERSED", lambda a, t: a.status(t)),
    ("Event_Date", DATE, "When it happened", _iso),
    ("Locking_Date", DATE, "When it stops changing", lambda a, _: a.locks.isoformat()),
    ("Approved_Date", DATE, "When it was approved", lambda a, t: _decided(a, t, "APPROVED")),
    ("Reversed_Date", DATE, "When it was reversed", lambda a, t: _decided(a, t, "REVERSED")),
    ("Currency", "String", "Currency of the amounts", lambda a, _: a.program.currency),
    ("Sale_Amount", "Decimal", "Value of the order", lambda a, _: money(a.sale)),
    ("Payout", "Decimal", "Commission", lambda a, t: money(a.payout_at(t))),
    ("Items", "Integer", "Lines of the order", lambda a, _: str(len(a.items))),
    ("New_Customer", "Boolean", "First order", lambda a, _: str(a.new_customer).lower()),
    ("Promo_Code", "String", "Code used", lambda a, _: a.promo_code),
    ("SubId1", "String", "Your first value", lambda a, _: a.sub_ids[0]),
    ("SubId2", "String", "Your second value", lambda a, _: a.sub_ids[1]),
    ("SubId3", "String", "Your third value", lambda a, _: a.sub_ids[2]),
    ("Device", "String", "Kind of device", lambda a, _: a.device),
    ("Ip_Address", "String", "Address of the customer", lambda a, _: a.ip_address),
    ("Customer_City", "String", "City of the customer", lambda a, _: a.place[0]),
    ("Customer_Region", "String", "Region of the customer", lambda a, _: a.place[1]),
    ("Customer_Country", "String", "Country of the customer", lambda a, _: a.place[2]),
    ("Customer_Post_Code", "String", "Post code of the customer", lambda a, _: a.place[3]),
    ("Note", "String", "The program's remark", lambda a, _: a.note),
)
SKU_COLUMNS = (
    ("Action_Id", "String"),
    ("Line", "Integer"),
    ("Campaign_Id", "Integer"),
    ("Event_Date", DATE),
    ("Status", "String"),
    ("Sku", "String"),
    ("Item_Name", "String"),
    ("Category", "String"),
    ("Quantity", "Integer"),
    ("Sale_Amount", "Decimal"),
    ("Payout", "Decimal"),
)
DAY_COLUMNS = (
    ("date_display", "String"),
    ("Clicks", "Integer"),
    ("Actions", "Integer"),
    ("Sale_Amount", "Decimal"),
    ("Total_Payout", "Decimal"),
)
PROGRAM_COLUMNS = (("Program", "String"), ("Program_Id", "Integer"), *DAY_COLUMNS[1:])
# Names that differ only by case are one column in most warehouses.
CUSTOM_COLUMNS = (
    ("Program_Id", "Integer"),
    ("Clicks", "Integer"),
    ("clicks", "Decimal"),
    ("Sale_zzzAmount", "Decimal"),
    ("sale_zzzamount", "String"),
)
PAYSTUB_COLUMNS = (
    ("PaystubId", "Integer"),
    ("ActionId", "String"),
    ("ActionDate", DATE),
    ("ClearedDate", DATE),
    ("Amount", "Decimal"),
)
AUDIT_COLUMNS = (
    ("Entry_Id", "Integer"),
    ("Logged_At", "DATETIME"),
    ("Logged_On", "DATE"),
    ("Balance", "Money"),
    ("Change", "decimal"),
    ("Units", "Integer"),
    ("Checksum", "Integer"),
    ("Active", "Boolean"),
    ("Score", "Integer"),
)
TRACKING_COLUMNS = (
    ("Tracking_Value", "String"),
    ("Type", "String"),
    ("Program_Id", "Integer"),
    ("Clicks_30_Days", "Integer"),
)
TRANSFER_COLUMNS = (("Transfer_Id", "Integer"), ("Transfer_Date", DATE), ("Amount", "Decimal"))


def invented_reports(account: Account) -> list[Report]:
    """Return the reports over the account's data, in the order of the list."""
    rows = AccountRows(account)
    return [
        Report(
            id="mp_action_listing_fast",
            name="Action Listing",
            category="Listing",
            description="One row for each action, by the day it happened.",
            columns=[Attribute(*facts) for *facts, _ in ACTION_COLUMNS],
            filters=(*DATE_FILTERS, ("Action Status", "String")),
            rows_as_of=dated(account, listing(account, [cell for *_, cell in ACTION_COLUMNS])),
        ),
        Report(
            id="mp_action_listing_sku",
            name="Action Listing by SKU",
            category="Listing",
            description="One row for each line of an order.",
            columns=_columns(SKU_COLUMNS),
            rows_as_of=dated(account, rows.skus),
        ),
        Report(
            id="partner_performance_by_day",
            name="Performance by Day",
            description="Totals of each day.",
            columns=_columns(DAY_COLUMNS),
            rows_as_of=dated(account, rows.by_day),
        ),
        Report(
            id="partner_performance_by_program",
            name="Performance by Program",
            category="Cross-Program",
            description="Totals of each program over the requested dates.",
            columns=_columns(PROGRAM_COLUMNS),
            rows_as_of=dated(account, rows.by_program),
        ),
        Report(
            id=None,
            name="Partner Insights",
            category=None,
            api_accessible=False,
            description="A dashboard of the web application.",
        ),
        Report(
            id="12172",
            name="My Custom Report",
            category="Custom",
            description="A report someone built.",
            columns=_columns(CUSTOM_COLUMNS),
            rows_as_of=dated(account, rows.custom),
        ),
        Report(
            id="PaystubActions",
            name="Paystub Actions",
            category="Finance",
            description="Actions that were paid.",
            columns=_columns(PAYSTUB_COLUMNS),
            rows_as_of=dated(account, rows.paystubs),
        ),
        Report(
            id="tracking_value_list",
            name="Tracking Values",
            category="Admin",
            description="Every tracking value in use.",
            columns=_columns(TRACKING_COLUMNS),
            filters=(("Tracking Value Type", "String"), ("SUBAID", "String")),
            rows_as_of=dated(account, rows.tracking),
        ),
        Report(
            id="partner_funds_transfer_listing",
            name="Funds Transfers",
            category="Finance",
            description="Transfers to the bank; this account has none.",
            columns=_columns(TRANSFER_COLUMNS),
            rows_as_of=nothing,
        ),
        Report(
            id="mp_account_audit_log",
            name="Account Log",
            category="Operations",
            description="One entry a day, in types no other report has.",
            columns=_columns(AUDIT_COLUMNS),
            rows_as_of=dated(account, rows.audit),
        ),
        Report(
            id="mp_contract_overview",
            name="Contracts",
            category="Admin",
            api_accessible=False,
            description="Contracts in the web application; listed with an id all the same.",
        ),
    ]


def _columns(facts: Sequence[tuple[str, str]]) -> list[Attribute]:
    return [Attribute(name, kind, name.replace("_", " ").capitalize()) for name, kind in facts]
