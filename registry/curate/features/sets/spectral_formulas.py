"""Formulas of spectral indices, read from the catalogue of Awesome Spectral Indices, as NumPy.

A formula is text of a package. It is parsed, never run: numbers, bands, named constants, the four
operations and powers that are products or a square root are all that it may be made of. So every
machine computes the same bits: IEEE 754 rounds each of these operations correctly, while ``exp``
and general powers differ between processors.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError, UnavailableError

__all__ = ["Index", "Node", "Program", "compiled", "indices", "parse"]

Floats = npt.NDArray[np.float32]

Operation = tuple[Any, ...]
"""What is done, such as ``+``, and the one or two nodes that it is done to."""

Node = str | float | Operation
"""A band's letter, a number, or an operation."""

_ABSENT: Final = "the catalogue of spectral indices (spyndex) is not installed"
_INSTALL: Final = "pip install 'eo-training-data-lab[features]'"
_CATALOGUE: Final = "data/spectral-indices-dict.json"
_CONSTANTS: Final = "data/constants.json"
_LONGEST: Final = 1000  # characters
_OPERATORS: Final[Mapping[type[ast.operator], str]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
}  # fmt: skip
_UFUNCS: Final[Mapping[str, np.ufunc]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "sqrt": np.sqrt,
}  # fmt: skip
_POWERS: Final = (2.0, 3.0, 4.0)
_HOW: Final = "use bands, numbers, + - * /, whole powers to 4 and ** 0.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A spectral index."""

    name: str
    """As the catalogue has it, such as ``NDVI``."""

    title: str
    """Its long name."""

    formula: str
    """In terms of the bands' common letters and constants."""

    constants: Mapping[str, float]
    """The constants' values."""

    bands: tuple[str, ...]
    """Common letters of the bands that it needs."""

    reference: str
    """Address of the paper."""

    tree: Node
    """The formula, parsed, with its constants put in."""

    @property
    def scale_free(self) -> bool:
        """Whether it stays the same when all bands are multiplied by one number.

        Others need reflectance: a constant in them is one of reflectance.
        """
        return _degree(self.tree) == 0


def indices(wanted: Mapping[str, Mapping[str, float]]) -> tuple[Index, ...]:
    """Return indices of the catalogue, in the order asked for.

    The catalogue is read from the installed package's file; nothing is fetched and nothing of the
    package runs.

    Args:
        wanted: By name, which constants differ from the catalogue's defaults.

    Raises:
        UnavailableError: The package is not installed, or lacks one of them.
        InvalidInputError: A formula is made of what it may not be made of.

    References:
        Montero et al. (2023), Scientific Data 10:197, https://doi.org/10.1038/s41597-023-02096-0.
    """
    catalogue = _read(_CATALOGUE)["SpectralIndices"]
    defaults = {name: said["default"] for name, said in _read(_CONSTANTS).items()}
    if missing := [name for name in wanted if name not in catalogue]:
        raise UnavailableError(
            f"spyndex {package_version()} has no index {', '.join(missing)}",
            hint=_INSTALL,
        )
    return tuple(_index(catalogue[name], defaults | dict(own), own) for name, own in wanted.items())


def package_version() -> str:
    """Return the version of the package that the catalogue came with.

    Raises:
        UnavailableError: It is not installed.
    """
    try:
        return version("spyndex")
    except PackageNotFoundError as error:
        raise UnavailableError(_ABSENT, hint=_INSTALL) from error


def parse(formula: str, constants: Mapping[str, float]) -> Node:
    """Return a formula as a tree of operations.

    Args:
        formula: Such as ``(N - R) / (N + R)``.
        constants: Values of its names that are no bands.

    Raises:
        InvalidInputError: It is too long, or made of something else than arithmetic.

    Examples:
        >>> parse("g * (N - R) ** 2", {"g": 2.5})
        ('*', ('*', ('-', 'N', 'R'), ('-', 'N', 'R')), 2.5)
    """
    if len(formula) > _LONGEST:
        raise InvalidInputError(_unclear(formula), hint=f"it has over {_LONGEST} characters")
    try:
        return _tree(ast.parse(formula.strip(), mode="eval").body, formula, constants)
    except (SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        raise InvalidInputError(_unclear(formula), hint=_HOW) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Several formulas as one row of operations, each part that they share computed once.

    Whatever is operated on has a number: bands first, then constants, then rooms for results.
    """

    letters: tuple[str, ...]
    """Bands that are used."""

    constants: tuple[float, ...]
    """Numbers that are used."""

    rooms: int
    """How many results are held at once."""

    steps: tuple["_Step", ...]
    """The operations, in order."""

    plain: Mapping[int, str]
    """Formulas that are a mere band."""

    def run(self, bands: Mapping[str, Floats]) -> Iterator[tuple[tuple[int, ...], Floats]]:
        """Yield formulas' places and their values, as they get ready.

        Args:
            bands: By common letter, each of one shape and type.

        Yields:
            Places of the formulas that have these values, and the values: to be read before the
            next are asked for, and not to be written to. What is divided by zero is not finite.
        """
        for place, letter in self.plain.items():
            yield (place,), bands[letter]
        some = next(iter(bands.values()))
        held = [
            *(bands[letter] for letter in self.letters),
            # as arrays: NumPy takes longer to look at a number than to add it to a small band
            *(np.array(number, some.dtype) for number in self.constants),
            *(np.empty_like(some) for _ in range(self.rooms)),
        ]
        with np.errstate(all="ignore"):
            for operation, left, right, into, ready in self.steps:
                if right is None:
                    operation(held[left], held[into])
                else:
                    operation(held[left], held[right], held[into])
                if ready:
                    yield ready, held[into]


_Step = tuple[np.ufunc, int, int | None, int, tuple[int, ...]]
"""What is done, the numbers of one or two operands and of the result, which formulas it is."""


@lru_cache(maxsize=256)
def compiled(trees: tuple[Node, ...]) -> Program:
    """Return formulas as one program.

    Args:
        trees: As :func:`parse` returns them.
    """
    order: dict[Operation, int] = {}
    for tree in trees:
        _visit(tree, order)
    leaves = dict.fromkeys(part for node in order for part in node[1:] if part not in order)
    letters = tuple(leaf for leaf in leaves if isinstance(leaf, str))
    constants = tuple(leaf for leaf in leaves if not isinstance(leaf, str))
    numbers: dict[Node, int] = {leaf: n for n, leaf in enumerate((*letters, *constants))}
    last = {part: node for node in order for part in (node, *node[1:]) if part in order}
    places: dict[Node, list[int]] = {}
    for place, tree in enumerate(trees):
        places.setdefault(tree, []).append(place)
    steps: list[_Step] = []
    free: list[int] = []  # the room that was left last is still warm
    rooms = 0
    for node in order:
        if not free:
            free.append(len(leaves) + rooms)
            rooms += 1
        numbers[node] = free.pop()
        left, *others = (numbers[part] for part in node[1:])
        right = others[0] if others else None
        ready = tuple(places.get(node, ()))
        steps.append((_UFUNCS[node[0]], left, right, numbers[node], ready))
        over = dict.fromkeys(part for part in (*node[1:], node) if last.get(part) is node)
        free += [numbers[part] for part in over]
    plain = {place: tree for place, tree in enumerate(trees) if isinstance(tree, str)}
    return Program(
        letters=letters, constants=constants, rooms=rooms, steps=tuple(steps), plain=plain
    )


# ---------------------------------------------------------------------------------- the catalogue
@lru_cache(maxsize=4)
def _read(name: str) -> dict[str, Any]:
    found = find_spec("spyndex")
    if found is None or found.origin is None:
        raise UnavailableError(_ABSENT, hint=_INSTALL)
    said: dict[str, Any] = json.loads((Path(found.origin).parent / name).read_text("utf-8"))
    return said


def _index(
    said: Mapping[str, Any], constants: Mapping[str, float | None], own: Mapping[str, float]
) -> Index:
    formula = " ".join(str(said["formula"]).split())
    names = [str(name) for name in said["bands"]]
    valued = {n: float(value) for n, value in constants.items() if value is not None}
    used = {name: valued[name] for name in names if name in valued}
    if foreign := sorted(set(own) - set(used)):
        raise InvalidInputError(
            f"index {said['short_name']} has no constant {foreign[0]}",
            hint=f"it has {', '.join(used) or 'none'}",
        )
    return Index(
        name=str(said["short_name"]),
        title=str(said["long_name"]),
        formula=formula,
        constants=used,
        bands=tuple(name for name in names if name not in constants),
        reference=str(said["reference"]),
        tree=parse(formula, used),
    )


# -------------------------------------------------------------------------------------- a formula
def _tree(node: ast.expr, formula: str, constants: Mapping[str, float]) -> Node:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name):
            return constants.get(name, name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _applied("*", -1.0, _tree(operand, formula, constants))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            first, second = (_tree(side, formula, constants) for side in (left, right))
            operation = _OPERATORS[type(operator)]
            if operation == "**":
                return _power(first, second, formula)
            return _applied(operation, first, second)
        case _:
            raise InvalidInputError(_unclear(formula), hint=_HOW)


def _applied(operation: str, first: Node, second: Node) -> Node:
    if isinstance(first, float) and isinstance(second, float):
        return _number(_UFUNCS[operation], first, second)
    if operation in "+*" and repr(second) < repr(first):  # so that N + R and R + N are one
        first, second = second, first
    return (operation, first, second)


def _power(first: Node, second: Node, formula: str) -> Node:
    if isinstance(first, float) and isinstance(second, float):
        return _number(np.power, first, second)
    if second == 0.5:  # noqa: PLR2004 — the square root
        return ("sqrt", first)
    if second not in _POWERS:
        raise InvalidInputError(_unclear(formula), hint=_HOW)
    square = _applied("*", first, first)
    if second == _POWERS[0]:
        return square
    return _applied("*", square, first if second == _POWERS[1] else square)


def _number(operation: np.ufunc, first: float, second: float) -> float:
    with np.errstate(all="ignore"):
        return float(operation(first, second))


def _unclear(formula: str) -> str:
    return f"formula {formula[:100]!r} cannot be computed"


def _degree(node: Node) -> Fraction | None:
    """Return the power of k by which it grows if all bands do by k; None if by no power."""
    if not isinstance(node, tuple):
        return Fraction(int(isinstance(node, str)))
    degrees = [part for part in map(_degree, node[1:]) if part is not None]
    if len(degrees) < len(node) - 1:
        return None
    first, second = degrees[0], degrees[-1]
    grown = {"sqrt": first / 2, "*": first + second, "/": first - second}
    return grown.get(node[0], first if first == second else None)


# ------------------------------------------------------------------------------------ the program
def _visit(node: Node, order: dict[Operation, int]) -> None:
    if not isinstance(node, tuple) or node in order:
        return
    for part in node[1:]:
        _visit(part, order)
    order[node] = len(order)
