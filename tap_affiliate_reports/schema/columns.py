"""The names and types of columns in the warehouse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_NAME = 60
MAX_NAME_WITH_SUFFIX = 63  # PostgreSQL truncates longer names, which could make two equal


class Kind(Enum):
    """The types a column can have."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "date-time"


# The first prefix that matches decides. A DataType that equals "date" is a Kind.DATE.
_DATA_TYPES = {
    "string": Kind.STRING,
    "integer": Kind.INTEGER,
    "decimal": Kind.DECIMAL,
    "boolean": Kind.BOOLEAN,
    "date": Kind.DATETIME,
}

_PROPERTIES: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": ["string", "null"]},
    Kind.INTEGER: {"type": ["integer", "null"]},
    Kind.DECIMAL: {"type": ["number", "null"]},
    Kind.BOOLEAN: {"type": ["boolean", "null"]},
    Kind.DATE: {"type": ["string", "null"], "format": "date"},
    Kind.DATETIME: {"type": ["string", "null"], "format": "date-time"},
}

# Snowflake's loader reads precision and scale from here; without them it creates NUMBER(38, 0).
_SINGER_DECIMAL: dict[str, Any] = {
    "type": ["string", "null"],
    "format": "x-singer.decimal",
    "precision": 38,
    "scale": 18,
}

# The kinds of a catalog's properties, which may have lost their precision and scale.
_KINDS = {
    ("string", "date"): Kind.DATE,
    ("string", "date-time"): Kind.DATETIME,
    ("string", "x-singer.decimal"): Kind.DECIMAL,
    ("integer", None): Kind.INTEGER,
    ("number", None): Kind.DECIMAL,
    ("boolean", None): Kind.BOOLEAN,
}

# The added columns whose values differ from row to row.
NUMBER, UNPARSED = "_row_number", "_unparsed"

# Loaders that use CSV turn an empty text into null, which a key column must not be.
ALL_PROGRAMS = "all"

ADDED: Mapping[str, dict[str, Any]] = {
    "_account": {
        "type": "string",
        "description": "The account the row was fetched from.",
    },
    "_program_id": {
        "type": "string",
        "description": "The program the export was limited to; `all` when it held all programs.",
    },
    "_window_start": {
        "type": "string",
        "format": "date",
        "description": "The first day of the calendar slot the row belongs to.",
    },
    "_window_end": {
        "type": "string",
        "format": "date",
        "description": "The last day that was requested.",
    },
    NUMBER: {
        "type": "integer",
        "description": "The row's place within its slot and program, from 1.",
    },
    "_refreshed_at": {
        "type": "string",
        "format": "date-time",
        "description": "When the service finished the file the row comes from.",
    },
    "_deleted": {
        "type": "boolean",
        "description": "True once the row is no longer in the report.",
    },
    "_sdc_deleted_at": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When the row was found to be gone; null on live rows.",
    },
    # A text, because the loaders of Parquet and others reject an object without properties.
    UNPARSED: {
        "type": ["string", "null"],
        "description": "Values that did not fit their column's type: JSON text, column -> text.",
    },
}
"""The columns that the tap adds to every report stream: name -> JSON Schema."""

ADDED_TO_FILES: Mapping[str, dict[str, Any]] = {
    "_account": ADDED["_account"],
    "_export_id": {
        "type": "integer",
        "description": "The export whose file the row comes from.",
    },
    "_completed_at": {
        "type": "string",
        "format": "date-time",
        "description": "When the service finished that file.",
    },
    NUMBER: {
        "type": "integer",
        "description": "The row's place within its file, from 1.",
    },
    UNPARSED: ADDED[UNPARSED],
}
"""The columns that the tap adds to the rows of finished files: name -> JSON Schema."""


@dataclass(frozen=True)
class Column:
    """One column of a report: its `name` in the warehouse, its `source` name in the API."""

    name: str
    source: str
    kind: Kind
    description: str = ""


def kind_of(data_type: str | None) -> Kind:
    """Return the kind of a MetaData DataType; an unknown one is a string."""
    word = (data_type or "").strip().lower()
    if word == "date":
        return Kind.DATE
    kinds = (kind for prefix, kind in _DATA_TYPES.items() if word.startswith(prefix))
    return next(kinds, Kind.STRING)


def columns_of(
    attributes: Iterable[tuple[str, str | None, str | None]], *, reserved: Iterable[str] = ADDED
) -> list[Column]:
    """Return the columns of (name, DataType, description) attributes, in their order.

    `reserved` names belong to the tap; an attribute with one of these names gets a suffix.
    """
    names = _Names(reserved)
    return [
        Column(names.unique(source, position), source, kind_of(data_type), description or "")
        for position, (source, data_type, description) in enumerate(attributes, 1)
    ]


def unknown_columns(
    unknown: Iterable[tuple[int, str]], used: Iterable[str], kinds: Sequence[Kind] = ()
) -> list[Column]:
    """Return a column for each (index in the file, name) of `HeaderMatch.unknown`, in order.

    `used` are the names in use, those of the tap too; `kinds` are those of all the file's columns,
    without which each is a string.
    """
    names = _Names(used)
    return [
        Column(names.unique(name, index + 1), name, kinds[index] if kinds else Kind.STRING)
        for index, name in unknown
    ]


def property_schema(
    kind: Kind, description: str = "", *, singer_decimal: bool = False
) -> dict[str, Any]:
    """Return the JSON Schema of a nullable property of this kind."""
    schema = _SINGER_DECIMAL if singer_decimal and kind is Kind.DECIMAL else _PROPERTIES[kind]
    return {**schema, "description": description} if description else dict(schema)


def kind_of_property(schema: Mapping[str, Any]) -> Kind:
    """Return the kind of a catalog's property; one that the tap does not write is a string."""
    declared = schema.get("type")
    types = {declared} if isinstance(declared, str) else set(declared or ())
    types.discard("null")
    if len(types) != 1:
        return Kind.STRING
    name = types.pop()
    return _KINDS.get((name, schema.get("format") if name == "string" else None), Kind.STRING)


def json_schema(
    columns: Sequence[Column],
    added: Mapping[str, dict[str, Any]] = ADDED,
    *,
    singer_decimal: bool = False,
) -> dict[str, Any]:
    """Return the JSON Schema of a stream of files: the tap's own columns, then the file's."""
    properties = {name: dict(schema) for name, schema in added.items()}
    for column in columns:
        properties[column.name] = property_schema(
            column.kind, column.description, singer_decimal=singer_decimal
        )
    return {"type": "object", "properties": properties}


class _Names:
    """Makes the names of columns unique, ignoring case."""

    _unprintable = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

    def __init__(self, used: Iterable[str]) -> None:
        self._used = {name.casefold() for name in used}
        self._next_suffix: dict[str, int] = {}

    def unique(self, wanted: str, position: int) -> str:
        """Return a printable name that is not in use yet, with a suffix if necessary."""
        kept = self._unprintable.sub("", wanted)[:MAX_NAME]
        if not kept.strip():
            kept = f"column_{position}"
        name, key = kept, kept.casefold()
        number = self._next_suffix.get(key, 2)
        while name.casefold() in self._used:
            suffix = f"_{number}"
            name = kept[: MAX_NAME_WITH_SUFFIX - len(suffix)] + suffix
            number += 1
        self._next_suffix[key] = number
        self._used.add(name.casefold())
        return name
