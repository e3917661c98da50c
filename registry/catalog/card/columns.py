"""Types of a dataset's own property columns, as a card writes them."""

import pyarrow as pa

from registry.errors import InvalidInputError

__all__ = ["column_type", "column_type_text"]

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "double": pa.float64(),
    "float": pa.float32(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "binary": pa.binary(),
}


def column_type(said: str, *, column: str) -> pa.DataType:
    """Return the Arrow type that a card's word names.

    Args:
        said: ``string double float int64 int32 bool timestamp date binary`` or ``list<…>`` of one.
        column: Whose type it is, for the error.

    Raises:
        InvalidInputError: There is no such type.

    Examples:
        >>> str(column_type("list<double>", column="angles"))
        'list<item: double>'
    """
    text = said.strip().lower()
    if text.startswith("list<") and text.endswith(">") and text[5:-1].strip() in _TYPES:
        return pa.list_(_TYPES[text[5:-1].strip()])
    if text not in _TYPES:
        raise InvalidInputError(
            f"property '{column}' has the type '{said}'",
            hint=f"use one of {', '.join(_TYPES)} or list<…> of one",
        )
    return _TYPES[text]


def column_type_text(kind: pa.DataType) -> str:
    """Return the word by which a card writes an Arrow type; the nearest wider one if need be.

    Examples:
        >>> column_type_text(pa.int16()), column_type_text(pa.list_(pa.string()))
        ('int32', 'list<string>')
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{column_type_text(kind.value_type)}>"
    for name, known in _TYPES.items():
        if kind == known:
            return name
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_integer(kind):
        return "int32" if kind.bit_width < 32 else "int64"  # noqa: PLR2004 — bits of an int32
    return "double" if pa.types.is_floating(kind) else "string"
