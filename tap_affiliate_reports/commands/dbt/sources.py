"""The `sources.yml` of dbt: tables and columns with descriptions, tests of keys, freshness."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tap_affiliate_reports.commands.dbt.folder import MARK
from tap_affiliate_reports.commands.dbt.tables import DELETED_AT, REFRESHED_AT, Table
from tap_affiliate_reports.schema import ADDED, ADDED_TO_FILES

SOURCE = "affiliate"
DESCRIPTION = "Reports of affiliate networks, loaded by tap-affiliate-reports."
SCHEMA = "{{ var('affiliate_schema', 'affiliate') }}"
# With a sync a night no table is older, but a report without rows has no date: hence no error.
WARN_AFTER_HOURS = 36
# Snowflake's loader creates columns without quotes, PostgreSQL's with them; others ignore case.
QUOTE = "{{ target.type != 'snowflake' }}"
OWN_COLUMNS = {*ADDED, *ADDED_TO_FILES}

Node = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Escapes the line ends that PyYAML would write as they are and read as others."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if {"\x85", "\u2028", "\u2029"} & set(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


def sources_yaml(tables: Sequence[Table]) -> str:
    """Return the text of the file."""
    source = {
        "name": SOURCE,
        "description": DESCRIPTION,
        "schema": SCHEMA,
        "tables": [_table(table) for table in tables],
    }
    document = {"version": 2, "sources": [source]}
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return f"# {MARK}\n{text}"


def _table(table: Table) -> Node:
    node: Node = {"name": literal(table.name)}
    # Loaders take a name with a dash for a schema and a table.
    if "-" in table.name:
        node["identifier"] = literal(table.name.rpartition("-")[2])
    if table.description:
        node["description"] = literal(table.description)
    if REFRESHED_AT in table.columns:
        freshness = {"warn_after": {"count": WARN_AFTER_HOURS, "period": "hour"}}
        node["config"] = {"loaded_at_field": REFRESHED_AT, "freshness": freshness}
    if len(table.keys) > 1:
        node["data_tests"] = _unique(table)
    node["columns"] = [_column(table, name, schema) for name, schema in table.columns.items()]
    return node


def _column(table: Table, name: str, schema: Mapping[str, Any]) -> Node:
    node: Node = {"name": literal(name)}
    if description := schema.get("description"):
        node["description"] = literal(description)
    if name not in OWN_COLUMNS:
        node["quote"] = QUOTE
    if name in table.keys:
        tests = ["not_null"] if len(table.keys) > 1 else ["unique", "not_null"]
        # A retired row has the tap's own columns only.
        live = {} if name in OWN_COLUMNS else _live(table)
        node["data_tests"] = [{test: {"config": live}} for test in tests] if live else tests
    return node


def _unique(table: Table) -> list[Node]:
    """Return the test of a key of several columns, or two where Snowflake needs other names."""
    name = f"unique_{SOURCE}_{table.slug}_key"
    live = _live(table)
    if OWN_COLUMNS.issuperset(table.keys):
        return [_unique_test(name, table.keys, live)]
    quoted = [key if key in OWN_COLUMNS else _in_quotes(key) for key in table.keys]
    return [
        _unique_test(name, quoted, live | {"enabled": "{{ target.type != 'snowflake' }}"}),
        _unique_test(
            f"{name}_in_snowflake",
            table.keys,
            live | {"enabled": "{{ target.type == 'snowflake' }}"},
        ),
    ]


def _unique_test(name: str, columns: Sequence[str], config: Node) -> Node:
    test: Node = {"name": name}
    # Casts each value; dbt evaluates no Jinja here.
    test["arguments"] = {"column_name": "concat(" + ", '|', ".join(columns) + ")"}
    if config:
        test["config"] = config
    return {"unique": test}


def _in_quotes(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _live(table: Table) -> Node:
    """Return the configuration of a test of the rows that count."""
    return {"where": f"{DELETED_AT} is null"} if table.marks_deleted else {}


def literal(text: str) -> str:
    """Return a text in which Jinja finds nothing to evaluate."""
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)
