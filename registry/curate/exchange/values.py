"""Values as other tools write them, made into a column's type again, or refused with their row.

Runs in the limited process that reads files.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from registry.errors import RejectedError

__all__ = ["Column", "decoded", "plain_type"]

_WHOLE: Final = re.compile(r"[+-]?\d{1,40}(?:\.0*)?")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NOT_NUMBERS: Final = {
    "nan": float("nan"), "inf": float("inf"), "infinity": float("inf"),
    "+inf": float("inf"), "-inf": float("-inf"), "-infinity": float("-inf"),
}  # fmt: skip
_TIME: Final = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_TRUTH: Final = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_SAFE: Final = 2**53
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SHOWN: Final = 60


class _UnfitError(Exception):
    """A value is not of the type; says of what it would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a file, as it was found."""

    name: str
    """The cell's name in the table."""

    values: Sequence[object]
    """What stands in each row: None, bool, int, float, str, bytes, list or dict."""

    places: Sequence[str]
    """Where each row stands in the file, for errors."""

    decimal_comma: bool = False
    """Whether numbers may have a comma where others have a point."""


def decoded(column: Column, kind: pa.DataType) -> pa.Array:
    """Return a file's column as a column of the table.

    Args:
        column: The values.
        kind: The type wanted.

    Returns:
        As many values.

    Raises:
        RejectedError: A value does not fit, said with its row.

    Examples:
        >>> there = Column(name="fold", values=["3", None], places=["line 2", "line 3"])
        >>> decoded(there, pa.int32()).to_pylist()
        [3, None]
    """  # noqa: DOC501 — a function makes the error
    read = _reader(kind, comma=column.decimal_comma)
    storage = pa.int64() if pa.types.is_timestamp(kind) else kind
    found: list[object] = []
    for number, value in enumerate(column.values):
        try:
            found.append(None if value is None else read(value))
        except (_UnfitError, RecursionError) as unfit:
            raise _refusal(column, number, str(unfit)) from None
    try:
        return _array(found, storage, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError, UnicodeError):
        for number, value in enumerate(found):
            try:
                _array([value], storage, kind)
            except (pa.ArrowException, OverflowError, TypeError, ValueError, UnicodeError):
                raise _refusal(column, number, f"{kind}") from None
        raise


def _array(found: list[object], storage: pa.DataType, kind: pa.DataType) -> pa.Array:
    return pa.array(found, plain_type(storage)).cast(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return a type whose times are numbers, since Python's own know no year 10,000."""
    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, plain_type(f.type)) for f in kind])
    return kind


def _refusal(column: Column, number: int, wanted: str) -> RejectedError:
    said = repr(column.values[number])
    said = said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"
    return RejectedError(
        f"{column.places[number]}: {column.name!r} holds {said}, which is no {wanted}",
        hint="mend it in the tool it was edited with, then bring the file back",
    )


def _reader(kind: pa.DataType, *, comma: bool = False) -> Callable[[Any], object]:  # noqa: PLR0911 — one line a type
    if pa.types.is_list(kind) or pa.types.is_struct(kind):
        return _nested(kind)
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_boolean(kind):
        return _truth
    if pa.types.is_integer(kind):
        return _whole
    if pa.types.is_floating(kind):
        return lambda value: _number(value, comma=comma)
    if pa.types.is_timestamp(kind):
        return _instant
    if pa.types.is_date(kind):
        return _day
    return _bytes


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        # GIS tools take text that looks like JSON for JSON
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not isinstance(value, str):
        raise _UnfitError("text")
    return value


def _truth(value: object) -> bool:
    known = value if isinstance(value, bool) else _TRUTH.get(str(value).strip().lower())
    if known is None or isinstance(value, bytes):
        raise _UnfitError("true or false")
    return known


def _whole(value: object) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer() and abs(value) <= _SAFE:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _UnfitError("whole number")
    return value


def _number(value: object, *, comma: bool) -> float:
    if isinstance(value, str):
        text = value.strip()
        if comma:
            text = text.replace(",", ".", 1)
        if text.lower() in _NOT_NUMBERS:
            return _NOT_NUMBERS[text.lower()]
        if _NUMBER.fullmatch(text):
            return float(text)
        raise _UnfitError("number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _UnfitError("number")
    try:
        return float(value)
    except OverflowError:
        raise _UnfitError("number that a table can hold") from None


def _instant(value: object) -> int:
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise _UnfitError("time as 2022-08-25T10:20:30Z")
    year, month, day, hour, minute, second, rest, zone = found.groups()
    try:
        moment = dt.datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            tzinfo=dt.UTC,
        )  # fmt: skip
    except ValueError:
        raise _UnfitError("time that the calendar has") from None
    parts = int((rest or "0").ljust(6, "0")[:6])
    whole = (moment - _EPOCH) // dt.timedelta(microseconds=1)
    return whole + parts - _offset(zone)


def _offset(zone: str | None) -> int:
    """Return what a zone is ahead of UTC; microseconds."""
    if zone in {None, "Z"}:
        return 0
    digits = str(zone)[1:].replace(":", "").ljust(4, "0")
    ahead = (int(digits[:2]) * 60 + int(digits[2:])) * 60_000_000
    return -ahead if str(zone)[0] == "-" else ahead


def _day(value: object) -> dt.date:
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found[4]:
        raise _UnfitError("day as 2022-08-25")
    try:
        return dt.date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise _UnfitError("day that the calendar has") from None


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        if isinstance(value, str):
            return bytes.fromhex(value.strip())
    except ValueError:
        pass  # said below, with the other kinds
    raise _UnfitError("bytes in hex")


def _nested(kind: pa.DataType) -> Callable[[Any], object]:
    read = _inside(kind)

    def value_of(value: object) -> object:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise _UnfitError("JSON") from None
        return None if value is None else read(value)

    return value_of


def _inside(kind: pa.DataType) -> Callable[[Any], object]:
    if pa.types.is_list(kind):
        element = _inside(kind.value_type)

        def items(value: object) -> object:
            if not isinstance(value, list):
                raise _UnfitError(f"JSON list of {kind.value_type}")
            return [None if one is None else element(one) for one in value]

        return items
    if pa.types.is_struct(kind):
        fields = {f.name: _inside(f.type) for f in kind}

        def members(value: object) -> object:
            if not isinstance(value, dict) or value.keys() - fields.keys():
                raise _UnfitError(f"JSON object of {', '.join(fields)}")
            return {
                name: None if value.get(name) is None else read(value[name])
                for name, read in fields.items()
            }

        return members
    return _reader(kind)
