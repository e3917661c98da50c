"""Documents become frozen dataclasses, and are refused where they say what nobody understands."""

import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from registry.errors import InvalidInputError

__all__ = ["close_to", "document_of", "nearest", "read", "with_overrides"]

Noun = TypeVar("Noun")

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_FINITE = "a finite number: neither nan nor infinite"


def read(kind: type[Noun], said: object, *, where: str = "") -> Noun:
    """Return the dataclass that a document describes.

    Args:
        kind: A dataclass whose annotations are plain types, unions with None, tuples, mappings,
            literals, enumerations of text and other dataclasses.
        said: As YAML or JSON gave it.
        where: Where it stands in the whole, for what is said of mistakes.

    Raises:
        InvalidInputError: A key is not known, one that is needed is missing, or a value has
            another type, or is a number that is not finite.
    """
    if not isinstance(said, Mapping):
        raise InvalidInputError(
            f"'{where or kind.__name__.lower()}' is {said!r} in the recipe",
            hint="give a mapping of names to values",
        )
    hints = typing.get_type_hints(kind)
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    for key in said:
        if key not in known:
            raise InvalidInputError(
                f"a recipe has no key '{_path(where, str(key))}'",
                hint=f"did you mean {nearest(str(key), known)}?",
            )
    for name, one in known.items():
        if name not in said and one.default is MISSING and one.default_factory is MISSING:
            raise InvalidInputError(
                f"the recipe does not say '{_path(where, name)}'", hint=f"add a line '{name}: …'"
            )
    values = {key: _value(hints[key], item, _path(where, key)) for key, item in said.items()}
    return kind(**values)


def nearest(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return the names that are closest to a word, or all where none is.

    Examples:
        >>> nearest("batchsize", ["batch_size", "bands"])
        "'batch_size'"
    """
    return close_to(word, known) or " or ".join(f"'{one}'" for one in sorted(known))


def close_to(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return the names that are close to a word; nothing where none is.

    Examples:
        >>> close_to("eurosatt", ["eurosat", "mae-hls"]), close_to("nope", ["eurosat", "mae-hls"])
        ("'eurosat'", '')
    """
    return " or ".join(f"'{one}'" for one in difflib.get_close_matches(word, list(known), n=3))


def document_of(noun: object) -> Any:  # noqa: ANN401 — YAML's own types
    """Return a dataclass as YAML's and JSON's own types, every default written out."""
    if isinstance(noun, StrEnum):
        return noun.value
    if is_dataclass(noun) and not isinstance(noun, type):
        return {one.name: document_of(getattr(noun, one.name)) for one in fields(noun)}
    if isinstance(noun, Mapping):
        return {str(key): document_of(value) for key, value in noun.items()}
    if isinstance(noun, tuple | list):
        return [document_of(item) for item in noun]
    return noun


def with_overrides(document: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with some values set by their paths.

    Args:
        document: As :func:`document_of` returns it.
        overrides: By path, such as ``data.batch_size`` or ``heads.0.loss``.

    Raises:
        InvalidInputError: A path leads nowhere.

    Examples:
        >>> with_overrides({"data": {"batch_size": 32}}, {"data.batch_size": 8})
        {'data': {'batch_size': 8}}
    """
    changed: Any = _copied(document)
    for path, value in overrides.items():
        *steps, last = path.split(".")
        at = changed
        for number, step in enumerate(steps):
            at = _down(at, step, ".".join(steps[: number + 1]))
        if isinstance(at, list):
            _down(at, last, path)
            at[int(last)] = value
        elif isinstance(at, dict):
            at[last] = value
        else:
            raise InvalidInputError(
                f"'{path}' leads into the value {at!r}", hint="name a key of the recipe"
            )
    return dict(changed)


def _copied(value: Any) -> Any:  # noqa: ANN401 — YAML's own types
    if isinstance(value, Mapping):
        return {str(key): _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


def _down(at: Any, step: str, path: str) -> Any:  # noqa: ANN401 — YAML's own types
    if isinstance(at, dict):
        if at.get(step) is None:
            at[step] = {}
        return at[step]
    if isinstance(at, list) and step.isdigit() and int(step) < len(at):
        return at[int(step)]
    raise InvalidInputError(f"the recipe has no '{path}'", hint="see it: eolab recipes show NAME")


def _value(hint: Any, said: Any, where: str) -> Any:  # noqa: ANN401, PLR0911 — one way a type
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        _check_finite(said, where)
        return said
    if origin in (types.UnionType, typing.Union):
        return _one_of(inside, said, where)
    if origin is tuple:
        return _several(inside, said, where)
    if origin is typing.Literal:
        if said not in inside or isinstance(said, bool):
            raise _refused(where, said, f"one of {', '.join(map(str, inside))}")
        return said
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(said, Mapping):
            raise _refused(where, said, "a mapping of names to values")
        return MappingProxyType({
            str(key): _value(inside[1], item, _path(where, str(key))) for key, item in said.items()
        })
    if is_dataclass(hint):
        return read(hint, said, where=where)  # type: ignore[arg-type]
    return _plain(hint, said, where)


def _one_of(inside: tuple[Any, ...], said: Any, where: str) -> Any:  # noqa: ANN401 — as above
    if said is None and type(None) in inside:
        return None
    kinds = [one for one in inside if one is not type(None)]
    mapped = any(_origin(one) is Mapping for one in kinds) and not isinstance(said, Mapping)
    if mapped or isinstance(said, list | tuple):
        # A mistake in a list is told as such, not as the lack of another kind.
        kinds.sort(key=lambda one: _origin(one) is tuple)
    for one in kinds[:-1]:
        try:
            return _value(one, said, where)
        except InvalidInputError:
            continue
    return _value(kinds[-1], said, where)


def _origin(kind: object) -> object:
    return typing.get_origin(kind)


def _several(inside: tuple[Any, ...], said: Any, where: str) -> tuple[Any, ...]:  # noqa: ANN401 — as above
    if not isinstance(said, list | tuple):
        raise _refused(where, said, "a list" + _such_as(inside, said))
    if inside[-1] is not Ellipsis and len(said) != len(inside):
        first = said[0] if said else None
        raise _refused(where, said, f"a list of {len(inside)}" + _such_as(inside, first))
    kinds = [inside[0]] * len(said) if inside[-1] is Ellipsis else list(inside)
    return tuple(
        _value(one, item, f"{where}.{number}")
        for number, (one, item) in enumerate(zip(kinds, said, strict=True))
    )


def _such_as(inside: tuple[Any, ...], said: Any) -> str:  # noqa: ANN401 — as above
    """Return a list of what was given alone, as an example; nothing where that is no example."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return ""
    if inside[0] is str:
        return f", such as {[str(said)]}"
    if inside[0] in {int, float} and isinstance(said, inside[0]):
        return f", such as {[said] * (1 if inside[-1] is Ellipsis else len(inside))}"
    return ""


def _plain(kind: Any, said: Any, where: str) -> Any:  # noqa: ANN401 — a type, and YAML's own
    if issubclass(kind, StrEnum):
        if said not in [str(one) for one in kind]:
            raise _refused(where, said, f"one of {', '.join(kind)}")
        return kind(said)
    if kind is float and isinstance(said, int | float | str) and not isinstance(said, bool):
        return _finite(said, where)
    if not isinstance(said, kind) or (kind is int and isinstance(said, bool)):
        wanted = _WORDS.get(kind, kind.__name__)
        number = isinstance(said, int | float) and not isinstance(said, bool)
        if kind is str and number:
            wanted += f", in quotes: '{said}'"
        raise _refused(where, said, wanted)
    return said


def _finite(said: float | str, where: str) -> float:
    try:
        number = float(said)  # YAML reads 1e-3 as a text
    except ValueError as error:
        raise _refused(where, said, _WORDS[float]) from error
    except OverflowError as error:  # of a whole number with hundreds of digits
        raise InvalidInputError(
            f"'{where}' is too large in the recipe", hint=f"give {_FINITE}"
        ) from error
    if not math.isfinite(number):
        raise _refused(where, said, _FINITE)
    return number


def _check_finite(said: Any, where: str) -> None:  # noqa: ANN401 — YAML's own types
    # However deep it lies in what others read.
    if isinstance(said, float) and not math.isfinite(said):
        raise _refused(where, said, _FINITE)
    inside: Any = said.items() if isinstance(said, Mapping) else ()
    if isinstance(said, list | tuple):
        inside = enumerate(said)
    for key, item in inside:
        _check_finite(item, _path(where, str(key)))


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _refused(where: str, said: object, wanted: str) -> InvalidInputError:
    return InvalidInputError(f"'{where}' is {said!r} in the recipe", hint=f"give {wanted}")
