"""Columns and their types: attributes to JSON Schema, headers to columns, texts to values."""

from __future__ import annotations

from tap_affiliate_reports.schema.columns import (
    ADDED,
    ADDED_TO_FILES,
    ALL_PROGRAMS,
    Column,
    Kind,
    columns_of,
    json_schema,
    kind_of,
    kind_of_property,
    property_schema,
    unknown_columns,
)
from tap_affiliate_reports.schema.header import HeaderMatch, match_header, row_parser
from tap_affiliate_reports.schema.values import Unreadable, json_text, parser

__all__ = [
    "ADDED",
    "ADDED_TO_FILES",
    "ALL_PROGRAMS",
    "Column",
    "HeaderMatch",
    "Kind",
    "Unreadable",
    "columns_of",
    "json_schema",
    "json_text",
    "kind_of",
    "kind_of_property",
    "match_header",
    "parser",
    "property_schema",
    "row_parser",
    "unknown_columns",
]
