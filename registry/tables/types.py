"""Arrow schemas as Delta writes them in its log, and back.

References:
    Delta Transaction Log Protocol, "Schema Serialization Format",
    https://github.com/delta-io/delta/blob/master/PROTOCOL.md.
"""

import json
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from registry.tables.errors import SchemaMismatchError, UnsafeTableError

__all__ = ["arrow_schema", "delta_schema"]

_PRIMITIVES = MappingProxyType({
    "string": pa.string(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "short": pa.int16(),
    "byte": pa.int8(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
})
_NAMES = MappingProxyType({kind: name for name, kind in _PRIMITIVES.items()})
_MAX_DEPTH = 16
_OWN_METADATA = ("meaning", "unit")


def delta_schema(schema: pa.Schema) -> str:
    """Return a schema as the JSON text of a table's log.

    Args:
        schema: Only types that Delta has: no unsigned, fixed-size, large or null ones.

    Raises:
        SchemaMismatchError: A type that Delta cannot hold.

    Examples:
        >>> delta_schema(pa.schema([("n", pa.int64())]))
        '{"type":"struct","fields":[{"name":"n","type":"long","nullable":true,"metadata":{}}]}'
    """
    text = {"type": "struct", "fields": [_field_out(field) for field in schema]}
    return json.dumps(text, separators=(",", ":"), ensure_ascii=False)


def arrow_schema(text: str) -> pa.Schema:
    """Return the Arrow schema that a table's log states.

    Raises:
        UnsafeTableError: It is no schema, or has types that the lab does not know.
    """  # noqa: DOC501 — a function makes the error
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unknown("text that is not JSON") from error
    if not isinstance(stated, dict) or stated.get("type") != "struct":
        raise _unknown("something that is not a struct")
    return pa.schema([_field_in(field, depth=0) for field in _list(stated.get("fields"))])


def _field_out(field: pa.Field) -> dict[str, Any]:
    found = field.metadata or {}
    kept = {k: found[k.encode()].decode() for k in _OWN_METADATA if k.encode() in found}
    kind = _type_out(field.type, field.name)
    return {"name": field.name, "type": kind, "nullable": field.nullable, "metadata": kept}


def _type_out(kind: pa.DataType, name: str) -> Any:  # noqa: ANN401 — any value, checked by its kind
    if kind in _NAMES:
        return _NAMES[kind]
    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": [_field_out(field) for field in kind]}
    if pa.types.is_list(kind):
        element = _type_out(kind.value_type, name)
        return {"type": "array", "elementType": element, "containsNull": True}
    raise SchemaMismatchError(
        f"column {name!r} is {kind}, which a table cannot hold",
        hint=f"use one of {', '.join(str(k) for k in _NAMES)}, lists or structs of them",
    )


def _field_in(stated: Any, *, depth: int) -> pa.Field:  # noqa: ANN401 — any value, checked by its kind
    if not isinstance(stated, dict) or not isinstance(stated.get("name"), str):
        raise _unknown("a field without a name")
    metadata = stated.get("metadata") or {}
    strange = (
        [k for k in metadata if k.startswith("delta.")] if isinstance(metadata, dict) else [""]
    )
    if strange:
        raise _unknown(f"a column {stated['name']!r} with {strange[0]!r:.60}, unknown to the lab")
    kept = {k: metadata[k] for k in _OWN_METADATA if isinstance(metadata.get(k), str)}
    kind = _type_in(stated.get("type"), depth=depth + 1)
    return pa.field(
        stated["name"], kind, nullable=stated.get("nullable") is not False, metadata=kept
    )


def _type_in(stated: Any, *, depth: int) -> pa.DataType:  # noqa: ANN401 — any value, checked by its kind
    if depth > _MAX_DEPTH:
        raise _unknown("a schema that is nested too deeply")
    if isinstance(stated, str) and stated in _PRIMITIVES:
        return _PRIMITIVES[stated]
    if isinstance(stated, dict) and stated.get("type") == "struct":
        return pa.struct([_field_in(field, depth=depth) for field in _list(stated.get("fields"))])
    if isinstance(stated, dict) and stated.get("type") == "array":
        return pa.list_(_type_in(stated.get("elementType"), depth=depth + 1))
    raise _unknown(f"a type {stated!r:.60}")


def _list(stated: Any) -> list[Any]:  # noqa: ANN401 — any value, checked by its kind
    if not isinstance(stated, list):
        raise _unknown("a struct without fields")
    return stated


def _unknown(what: str) -> UnsafeTableError:
    return UnsafeTableError(
        f"a table's log states {what}", hint="rewrite the table with columns that the lab knows"
    )
