"""Validates stream maps before a sync requests anything, and explains records that fail.

The SDK parses a map when a stream is registered, and evaluates it for each record. Its errors do
not name the column of a bad expression, and some mistakes only fail on the first record.
"""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from singer_sdk.mapper import (
    MAPPER_ALIAS_OPTION,
    MAPPER_ELSE_OPTION,
    MAPPER_FILTER_OPTION,
    MAPPER_KEY_PROPERTIES_OPTION,
    MAPPER_SOURCE_OPTION,
    NULL_STRING,
    CustomStreamMap,
    PluginMapper,
    RemoveRecordTransform,
)

from tap_affiliate_reports.errors import SettingsError, StreamError, TapError
from tap_affiliate_reports.sdk import wrap_evaluation

OPTIONS = {
    MAPPER_ALIAS_OPTION,
    MAPPER_ELSE_OPTION,
    MAPPER_FILTER_OPTION,
    MAPPER_KEY_PROPERTIES_OPTION,
    MAPPER_SOURCE_OPTION,
}
# The names in expressions besides the columns of a record.
NAMES = {"_", "record", "config", "__stream_name__", "__original_stream_name__"}


class MapError(TapError):
    """Raised when a stream map can't be used; the caller decides whether that ends the run."""


@dataclass(frozen=True)
class Expression:
    """An expression of a stream map; `key` is the key of the map, `column` is None for a filter."""

    key: str
    column: str | None
    text: str
    tree: ast.Expr

    def __str__(self) -> str:
        return f"stream_maps.{self.key}.{self.column or MAPPER_FILTER_OPTION}, {self.text!r}"


def register(
    mapper: PluginMapper, stream: str, schema: dict[str, Any], keys: Sequence[str]
) -> None:
    """Register a stream's schema with a mapper; raise MapError that names a mistake in its maps."""
    expressions = list(_expressions(mapper, stream))
    all_maps = mapper.stream_maps_dict
    # The SDK evaluates the aliases of all maps, even those of other streams.
    mapper.stream_maps_dict = dict(_definitions(mapper, stream))
    try:
        mapper.register_raw_stream_schema(stream, schema, keys)
    except Exception as error:  # the SDK raises many types
        msg = f"stream_maps: the map of {stream} can't be used: {error}"
        raise MapError(msg) from None
    finally:
        mapper.stream_maps_dict = all_maps
    for stream_map in mapper.stream_maps[stream]:
        if not isinstance(stream_map.stream_alias, str) or not stream_map.stream_alias:
            msg = f"stream_maps: the alias of {stream} is {stream_map.stream_alias!r}, not a name"
            raise MapError(f"{msg}. Quote it twice: \"'name'\"")
        if isinstance(stream_map, CustomStreamMap):
            for expression in expressions:
                _check_evaluable(stream, stream_map, expression)
            wrap_evaluation(stream_map, partial(_evaluate, stream, stream_map))


def check_names(mapper: PluginMapper, stream: str, columns: Collection[str]) -> None:
    """Raise StreamError for an expression that names a column which the stream does not have.

    `columns` are the columns of earlier files, in addition to those of the schema.
    """
    maps = [m for m in mapper.stream_maps[stream] if isinstance(m, CustomStreamMap)]
    if not maps:
        return
    properties = maps[0].raw_schema["properties"]
    known = {*NAMES, *columns, *properties, *maps[0].functions}
    if maps[0].fake:
        known.add("fake")
    for expression in _expressions(mapper, stream):
        nodes = [node for node in ast.walk(expression.tree) if isinstance(node, ast.Name)]
        bound = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        own = {"self"} if expression.column in {*properties, *columns} else set()
        for node in nodes:
            if node.id not in known | bound | own:
                msg = (
                    f"{stream}: {expression}: the stream has no column {node.id!r}. For a column "
                    f"that only some files have, write record.get({node.id!r})"
                )
                raise StreamError(msg)


def check_aliases(mapper: PluginMapper, streams: Collection[str]) -> None:
    """Raise SettingsError if maps give two streams the same name, since their keys may be equal."""
    sources: dict[str, str] = {}
    for stream in streams:
        for stream_map in mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            alias = stream_map.stream_alias
            if (other := sources.get(alias.casefold())) is not None:
                which = stream if other == stream else f"{other} and {stream}"
                msg = f"stream_maps: rows of {which} would replace each other in {alias!r}"
                raise SettingsError(f"{msg}. Set a different alias in each map")
            sources[alias.casefold()] = stream


def unknown_streams(mapper: PluginMapper, known: Collection[str]) -> list[str]:
    """Return the streams in the keys and sources of maps that do not exist."""
    sources = (
        definition.get(MAPPER_SOURCE_OPTION, key) if isinstance(definition, dict) else key
        for key, definition in mapper.stream_maps_dict.items()
    )
    return [
        source
        for source in sources
        if source not in known and not any(sign in str(source) for sign in "*?[")
    ]


def row_error(stream: str, error: Exception) -> StreamError:
    """Return the error of a record that can't be written after its stream map."""
    msg = f"{stream}: a record can't be written after its stream map"
    return StreamError(f"{msg}: {type(error).__name__}: {error}")


def _definitions(mapper: PluginMapper, stream: str) -> Iterator[tuple[str, Any]]:
    """Yield the maps that match a stream, each with its key."""
    for key, definition in mapper.stream_maps_dict.items():
        source: Any = key
        if isinstance(definition, dict) and MAPPER_SOURCE_OPTION in definition:
            source = definition[MAPPER_SOURCE_OPTION]
        if not isinstance(source, str):
            msg = f"stream_maps.{key}.{MAPPER_SOURCE_OPTION}: {source!r} is not a stream's name"
            raise MapError(msg)
        if stream == source or fnmatch.fnmatch(stream, source):
            yield key, definition


def _expressions(mapper: PluginMapper, stream: str) -> Iterator[Expression]:
    """Yield the expressions of all maps that match a stream.

    Raises MapError for a malformed expression or option.
    """
    for key, definition in _definitions(mapper, stream):
        if isinstance(definition, dict):
            for column, value in definition.items():
                if (found := _expression(key, column, value, definition)) is not None:
                    yield found


def _expression(key: str, column: str, value: Any, definition: dict[str, Any]) -> Expression | None:
    where = f"stream_maps.{key}.{column}"
    if column == MAPPER_KEY_PROPERTIES_OPTION:
        is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
        if value is not None and not is_list:
            raise MapError(f"{where}: {value!r} is not a list of columns or null")
        return None
    if column == MAPPER_ALIAS_OPTION and MAPPER_SOURCE_OPTION in definition:
        raise MapError(f"{where}: with {MAPPER_SOURCE_OPTION}, the key of the map is the alias")
    if column == MAPPER_ALIAS_OPTION and not (isinstance(value, str) and value.strip()):
        raise MapError(f"{where}: {value!r} is not a name")
    if column in OPTIONS - {MAPPER_FILTER_OPTION}:
        return None
    if column.startswith("__") and column.endswith("__") and column not in OPTIONS:
        raise MapError(f"{where}: unknown option. The options are {', '.join(sorted(OPTIONS))}")
    if value is None or (value == NULL_STRING and column != MAPPER_FILTER_OPTION):
        return None
    if not isinstance(value, str):
        raise MapError(f"{where}: {value!r} is neither an expression in quotes nor null")
    try:
        body = ast.parse(value).body
    except (SyntaxError, ValueError) as error:
        reason = getattr(error, "msg", None) or str(error)
        raise MapError(f"{where}: {value!r} is not a valid expression: {reason}") from None
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise MapError(f"{where}: {value!r} is not one expression")
    return Expression(key, None if column == MAPPER_FILTER_OPTION else column, value, body[0])


def _check_evaluable(stream: str, stream_map: CustomStreamMap, expression: Expression) -> None:
    """Raise MapError for an expression that the SDK's evaluator can't evaluate for any record."""
    evaluator = stream_map.expr_evaluator
    for node in ast.walk(expression.tree):
        reason = ""
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
            name = getattr(node.func, "id", None)
            if name not in evaluator.functions:
                reason = f"unknown function {name!r}" if name else "only functions can be called"
        elif isinstance(node, ast.operator | ast.unaryop | ast.cmpop):
            if type(node) not in evaluator.operators:
                reason = f"the operator {type(node).__name__} is not available"
        elif (
            isinstance(node, ast.expr)
            and not isinstance(node, ast.Starred)
            and type(node) not in evaluator.nodes
        ):
            reason = f"{type(node).__name__} is not available"
        if reason:
            msg = f"{stream}: {expression}: {reason}"
            raise MapError(msg)


def _evaluate(
    stream: str,
    stream_map: CustomStreamMap,
    evaluate: Callable[..., Any],
    *,
    expr: str,
    expr_parsed: ast.Expr,
    record: dict[str, Any],
    property_name: str | None,
) -> Any:
    """Evaluate an expression; raise StreamError that names it and its column."""
    try:
        return evaluate(
            expr=expr, expr_parsed=expr_parsed, record=record, property_name=property_name
        )
    except TapError:
        raise
    except Exception as error:  # an expression can raise anything
        keys = stream_map.transformed_key_properties or ()
        if record.get("_deleted") is True and property_name not in keys:
            # All report columns of a deleted row are null, so the results are null too.
            return None
        reason = error.__cause__ or error
        msg = (
            f"{stream}: the stream map's {property_name or MAPPER_FILTER_OPTION}, {expr!r}, "
            f"fails on a record: {type(reason).__name__}: {reason}"
        )
        raise StreamError(msg) from None
