"""Rows brought into a declared schema, or refused with the reason."""

import difflib
from collections.abc import Iterable

import pyarrow as pa

from registry.tables.errors import SchemaMismatchError
from registry.tables.schemas import TableSchema

__all__ = ["close_names", "conform", "union"]


def conform(rows: pa.RecordBatch | pa.Table, schema: TableSchema) -> pa.Table:
    """Return rows with exactly a schema's columns, in its order.

    Columns that are left out become null. Types are only ever widened: what would lose a digit,
    a column that nobody declared and a null where none may be are refused.

    Args:
        rows: Any of the schema's columns, in any order.
        schema: What they shall be.

    Raises:
        SchemaMismatchError: They cannot be.

    Examples:
        >>> from registry.tables.schemas import SPLITS
        >>> conform(pa.table({"sample": ["a"]}), SPLITS).to_pylist()
        [{'sample': 'a', 'subset': None, 'fold': None}]
    """
    unknown = [name for name in rows.schema.names if name not in schema.arrow.names]
    if unknown or len(set(rows.schema.names)) < len(rows.schema.names):
        raise SchemaMismatchError(
            f"table {schema.name!r} has no column {unknown[0]!r}"
            if unknown
            else f"rows for table {schema.name!r} name a column twice",
            hint=close_names(unknown[0] if unknown else "", schema.arrow.names),
        )
    columns = [_column(rows, field, schema) for field in schema.arrow]
    return pa.Table.from_arrays(columns, schema=schema.arrow)


def close_names(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the columns most like ``name``, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"its columns are {', '.join(names)}"


def union(ours: pa.Schema, theirs: pa.Schema, *, table: str) -> pa.Schema:
    """Return the columns that either has, ours first; fields of structs likewise.

    Args:
        ours: Keeps its order.
        theirs: Its further columns come after, nullable.
        table: The table's name, for the error.

    Raises:
        SchemaMismatchError: Both have a column, with types that differ.

    Examples:
        >>> a, b = pa.schema([("x", pa.int64())]), pa.schema([("y", pa.string())])
        >>> union(a, b, table="notes").names
        ['x', 'y']
    """
    fields = [
        _merged(field, theirs.field(field.name), table) if field.name in theirs.names else field
        for field in ours
    ]
    fields += [
        field.with_nullable(nullable=True) for field in theirs if field.name not in ours.names
    ]
    return pa.schema(fields)


def _merged(ours: pa.Field, theirs: pa.Field, table: str) -> pa.Field:
    if pa.types.is_struct(ours.type) and pa.types.is_struct(theirs.type):
        inner = union(pa.schema(list(ours.type)), pa.schema(list(theirs.type)), table=table)
        return ours.with_type(pa.struct(list(inner)))
    if ours.type != theirs.type:
        raise SchemaMismatchError(
            f"column {ours.name!r} of table {table!r} is {ours.type} on one side "
            f"and {theirs.type} on the other",
            hint="rename one of the two columns, or convert it",
        )
    return ours


def _column(
    rows: pa.RecordBatch | pa.Table, field: pa.Field, schema: TableSchema
) -> pa.ChunkedArray:
    if field.name not in rows.schema.names:
        column = pa.chunked_array([pa.nulls(rows.num_rows, field.type)], field.type)
    else:
        found = rows.column(field.name)
        chunks = found.chunks if isinstance(found, pa.ChunkedArray) else [found]
        plain = [_storage(chunk) for chunk in chunks]
        try:
            column = pa.chunked_array([_cast(chunk, field.type) for chunk in plain], field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaMismatchError(
                f"column {field.name!r} of table {schema.name!r} is {field.type}, "
                f"not {found.type}: {str(error).splitlines()[0]}",
                hint="convert it first",
            ) from error
    if column.null_count and not field.nullable:
        raise SchemaMismatchError(
            f"column {field.name!r} of table {schema.name!r} must not be null",
            hint="give every row a value",
        )
    return column


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_dictionary(array.type):
        return _cast(array.dictionary_decode(), kind)
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        return _cast_struct(array, kind)
    if pa.types.is_list(kind) and pa.types.is_list(array.type):
        _cast(array.flatten(), kind.value_type)  # what elements may not become, lists may not
    if _is_text(array.type) and not _is_text(kind):
        raise pa.ArrowTypeError("text is not parsed")
    if _is_text(kind) and not (_is_text(array.type) or pa.types.is_null(array.type)):
        raise pa.ArrowTypeError("values are not turned into text")
    return array.cast(kind)


def _cast_struct(array: pa.StructArray, kind: pa.StructType) -> pa.Array:
    names = [field.name for field in array.type]
    stray = [name for name in names if kind.get_field_index(name) < 0]
    if stray:
        raise pa.ArrowTypeError(f"it has no field {stray[0]!r}")
    parts = [
        _cast(array.field(names.index(field.name)), field.type)
        if field.name in names
        else pa.nulls(len(array), field.type)
        for field in kind
    ]
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )
