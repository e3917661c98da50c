"""An ONNX file as a stranger's: what it may hold is checked before any library opens it.

ONNX's files are Protocol Buffers. Only their framing is read here, never their tensors.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from registry.errors import InvalidInputError, NotFoundError, RejectedError

__all__ = ["MOST_BYTES", "ModelFile", "ModelRefusedError", "numbers", "read_model"]

MOST_BYTES: Final = 512 << 20
"""How large a file may be."""

_DEEPEST: Final = 24
_MOST_FIELDS: Final = 5_000_000
_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_CHANCE: Final = frozenset({
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
})
_VARINT: Final = 10

# Numbers of fields in onnx.proto; by message, those that hold another message that matters.
_INSIDE: Final = {
    "model": {7: "graph", 8: "opset", 14: "property", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
}
_OP_TYPE, _DOMAIN = 4, 7
_NAME_OF_FUNCTION, _DOMAIN_OF_FUNCTION = 1, 10
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class ModelRefusedError(RejectedError):
    """A model's file holds what the lab does not run."""

    code = "model-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model that may be handed to the limited process that runs it."""

    content: bytes = field(repr=False)
    """The file."""

    sha256: str
    """Of its content, in hex."""

    properties: dict[str, str]
    """What its author wrote into its metadata."""


@dataclass(slots=True)
class _Seen:
    fields: int = 0
    used: set[tuple[str, str]] = field(default_factory=set)
    made: set[tuple[str, str]] = field(default_factory=set)
    properties: dict[str, str] = field(default_factory=dict)
    graphs: int = 0


def read_model(path: Path) -> ModelFile:
    """Read an ONNX file and refuse what is dangerous or not repeatable in it.

    Args:
        path: A file of at most 512 MiB.

    Returns:
        Its bytes, and what its metadata say.

    Raises:
        NotFoundError: There is no such file.
        ModelRefusedError: It is too large or no ONNX; keeps tensors in other files; needs
            operators that ONNX does not define, or ones that draw lots.

    References:
        ONNX, onnx/onnx.proto, IR version 10; Protocol Buffers, Encoding.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no model file {path}", hint="give the path of an .onnx file")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ModelRefusedError(
            f"{path.name} has {size >> 20:,} MiB, {MOST_BYTES >> 20} at most",
            hint="export a smaller model",
        )
    with path.open("rb") as file:  # it may have grown meanwhile
        content = file.read(MOST_BYTES + 1)[:MOST_BYTES]
    seen = _Seen()
    try:
        _walk(memoryview(content), "model", seen, depth=0)
    except _WrongError as error:
        raise ModelRefusedError(
            f"{path.name} {error}", hint="export it again as one plain ONNX file"
        ) from error
    _check(path.name, seen)
    digest = hashlib.sha256(content).hexdigest()
    return ModelFile(content=content, sha256=digest, properties=seen.properties)


def _check(name: str, seen: _Seen) -> None:
    if not seen.graphs:
        raise ModelRefusedError(f"{name} is no ONNX model", hint="give an .onnx file")
    foreign = sorted(
        f"{domain}.{operator}"
        for domain, operator in seen.used - seen.made
        if domain not in _DOMAINS
    )
    if foreign:
        raise ModelRefusedError(
            f"{name} needs operators that ONNX does not define: {', '.join(foreign[:5])}",
            hint="export it with ONNX's own operators",
        )
    if chance := sorted(operator for _, operator in seen.used if operator in _CHANCE):
        raise ModelRefusedError(
            f"{name} draws lots ({', '.join(chance)}), so no value could be had again",
            hint="export it for inference",
        )


class _WrongError(Exception):
    """What is wrong with the bytes, as the end of a sentence."""


def _walk(message: memoryview, kind: str, seen: _Seen, *, depth: int) -> None:
    if depth > _DEEPEST:
        raise _WrongError("is nested too deeply")
    if kind == "training":
        raise _WrongError("brings its training along")
    inside = _INSIDE.get(kind, {})
    seen.graphs += kind == "graph"
    texts: dict[int, str] = {}
    for number, wire, value in _fields(message, seen):
        if kind == "tensor" and (
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
        ):
            raise _WrongError("keeps tensors in other files")
        if wire == 2 and isinstance(value, memoryview):  # noqa: PLR2004 — a length and its bytes
            if number in inside:
                _walk(value, inside[number], seen, depth=depth + 1)
            elif kind in {"node", "function", "property"} and len(value) <= 1 << 16:
                texts[number] = bytes(value).decode("utf-8", "replace")
    _note(kind, texts, seen)


def _note(kind: str, texts: dict[int, str], seen: _Seen) -> None:
    if kind == "node":
        seen.used.add((texts.get(_DOMAIN, ""), texts.get(_OP_TYPE, "")))
    elif kind == "function":
        made = (texts.get(_DOMAIN_OF_FUNCTION, ""), texts.get(_NAME_OF_FUNCTION, ""))
        seen.made.add(made)
    elif kind == "property":
        seen.properties[texts.get(1, "")] = texts.get(2, "")


def _fields(message: memoryview, seen: _Seen) -> Iterator[tuple[int, int, int | memoryview]]:
    # number, wire type and value of each field of a message
    at, end = 0, len(message)
    while at < end:
        seen.fields += 1
        if seen.fields > _MOST_FIELDS:
            raise _WrongError(f"has more than {_MOST_FIELDS:,} fields")
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        if wire == 2:  # noqa: PLR2004 — a length and its bytes
            length, at = _varint(message, at)
        elif wire in {1, 5}:
            length = 8 if wire == 1 else 4
        else:
            raise _WrongError("is no ONNX model")
        if length > end - at:
            raise _WrongError("is cut short, or no ONNX model")
        yield number, wire, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, octet in enumerate(message[at : at + _VARINT]):
        value |= (octet & 0x7F) << (7 * place)
        if octet < 0x80:  # noqa: PLR2004 — the last of them
            return value, at + place + 1
    raise _WrongError("is cut short, or no ONNX model")


def numbers(text: str, what: str) -> tuple[float, ...]:
    """Return numbers that are written with commas or spaces between.

    Raises:
        InvalidInputError: They are none.
    """
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise InvalidInputError(
            f"the model's {what} {text[:80]!r} is no list of numbers",
            hint=f"give {what} as a parameter",
        ) from error
