"""Validates a catalog and refuses values that the SDK would silently ignore or misread."""

from __future__ import annotations

from typing import IO, Any, Literal, TypeAlias

import msgspec
from singer_sdk.singerlib import Catalog, CatalogEntry, Metadata, StreamMetadata

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sdk import load_json

Method: TypeAlias = Literal["INCREMENTAL", "FULL_TABLE"]
Inclusion: TypeAlias = Literal["available", "automatic", "unsupported"]


class _Metadata(msgspec.Struct, rename="kebab"):
    inclusion: Inclusion | None = None
    selected: bool | None = None
    selected_by_default: bool | None = None
    replication_key: str | None = None
    replication_method: Method | None = None
    forced_replication_method: Method | None = None
    table_key_properties: list[str] | None = None


class _Item(msgspec.Struct):
    breadcrumb: list[str]
    metadata: _Metadata


class _Property(msgspec.Struct):
    type: str | list[str] | None = None
    format: str | None = None
    selected: bool | None = None


class _Schema(msgspec.Struct):
    properties: dict[str, _Property] | None = None
    selected: bool | None = None


class _Stream(msgspec.Struct):
    """The fields of a stream that the tap and the SDK read; tools may write others."""

    tap_stream_id: str
    schema: _Schema
    metadata: list[_Item] = []
    key_properties: list[str] | None = None
    replication_key: str | None = None
    replication_method: Method | None = None
    # Older tools write the selection of a stream here, and that of its columns in the schema.
    selected: bool | None = None


class _Catalog(msgspec.Struct):
    streams: list[Any]


def read_catalog_file(file: IO[str] | None) -> dict[str, Any] | None:
    """Return the object of the option --catalog; None without a file. Raises SettingsError."""
    if file is None:
        return None
    try:
        document: Any = load_json(file.read())
    except ValueError as error:
        msg = f"--catalog: not readable JSON: {error}"
        raise SettingsError(msg) from None
    if not isinstance(document, dict):
        msg = "--catalog: not a JSON object"
        raise SettingsError(msg)
    return document


def read_catalog(document: Any) -> Catalog | None:
    """Return the document as a Catalog of the SDK.

    Raises SettingsError if it is not a Singer catalog or contradicts itself.
    """
    if document is None:
        return None
    try:
        is_built = isinstance(document, Catalog)
        shape = msgspec.convert(document.to_dict() if is_built else document, _Catalog)
        streams = [_stream(one) for one in shape.streams]
        catalog: Catalog = document if is_built else Catalog.from_dict(document)
    except (msgspec.ValidationError, TypeError, KeyError, ValueError, AttributeError) as error:
        msg = f"--catalog: not a Singer catalog: {error}"
        raise SettingsError(msg) from None
    names: set[str] = set()
    for stream in streams:
        if stream.tap_stream_id in names:
            _refuse(stream, "is in the catalog twice. Remove one of the two")
        names.add(stream.tap_stream_id)
        _check_metadata(stream)
        entry = catalog[stream.tap_stream_id]
        _check_selection(stream, entry)
        for item in stream.metadata:
            if not item.breadcrumb and item.metadata.replication_method:
                # The SDK ignores the method in the metadata.
                entry.replication_method = item.metadata.replication_method
    return catalog


def _stream(document: Any) -> _Stream:
    try:
        return msgspec.convert(document, _Stream)
    except msgspec.ValidationError as error:
        name = document.get("tap_stream_id") if isinstance(document, dict) else None
        msg = f"--catalog: stream {name!r}: {error}"
        raise SettingsError(msg) from None


def _refuse(stream: _Stream, reason: str) -> None:
    msg = f"--catalog: stream {stream.tap_stream_id!r} {reason}"
    raise SettingsError(msg)


def _check_metadata(stream: _Stream) -> None:
    """Refuse metadata that the SDK would ignore."""
    seen: set[tuple[str, ...]] = set()
    for item in stream.metadata:
        breadcrumb = tuple(item.breadcrumb)
        if breadcrumb in seen:
            _refuse(stream, f"has two entries of metadata for the breadcrumb {item.breadcrumb}")
        if breadcrumb and (breadcrumb[0] != "properties" or len(breadcrumb) < 2):
            _refuse(
                stream,
                f"has metadata for the breadcrumb {item.breadcrumb}. "
                "The breadcrumb of a column is ['properties', its name]",
            )
        seen.add(breadcrumb)
    if seen and () not in seen:
        _refuse(stream, "has metadata for columns only. Add metadata for the breadcrumb []")


def _check_selection(stream: _Stream, entry: CatalogEntry) -> None:
    """Refuse selections in different places of a stream that contradict each other."""
    mask = entry.metadata.resolve_selection()
    is_selected = mask.get((), True)
    root = entry.metadata.get((), StreamMetadata())
    for flag in (stream.selected, stream.schema.selected, root.selected):
        if flag is not None and flag is not is_selected:
            _refuse(
                stream,
                f"has selected {str(flag).lower()}, but its complete metadata results in "
                f"{str(is_selected).lower()}. Set `selected` in the metadata of the breadcrumb []",
            )
    for name, column in (stream.schema.properties or {}).items():
        breadcrumb = ("properties", name)
        is_fixed = entry.metadata.get(breadcrumb, Metadata()).inclusion == "automatic"
        if column.selected is None or is_fixed or not is_selected:
            continue
        if column.selected is not mask[breadcrumb]:
            _refuse(
                stream,
                f"has `selected` in the schema of {name!r}, which its metadata contradicts. "
                f"Set it in the metadata of the breadcrumb {list(breadcrumb)}",
            )
