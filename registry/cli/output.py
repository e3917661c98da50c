"""What a command says: text for people, one JSON document for machines."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from registry.errors import RegistryError

__all__ = [
    "emit",
    "fail",
    "json_wanted",
    "jsonable",
    "listener",
    "printable",
    "size_text",
    "table_text",
]

json_wanted: ContextVar[bool] = ContextVar("json_wanted", default=False)
"""Whether ``--json`` was given; also decides how an error is said."""


@contextmanager
def listener() -> Iterator[BinaryIO]:
    """Yield standard output; who stops reading it has seen enough, which is no failure."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python would complain at its own exit when it flushes what nobody wants.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit(data: object, text: str | Callable[[], str]) -> None:
    """Print what a command found.

    Args:
        data: Dataclasses, mappings, Arrow tables and plain values, for ``--json``.
        text: The same for people, made only if it is shown.
    """
    if json_wanted.get():
        said = json.dumps(jsonable(data), indent=2, ensure_ascii=False)
    else:
        said = text if isinstance(text, str) else text()
    if said:
        with listener() as stdout:
            stdout.write((said if said.endswith("\n") else said + "\n").encode())


def fail(error: RegistryError) -> int:
    """Say an error on standard error and return the exit status of its branch."""
    if json_wanted.get():
        document: dict[str, Any] = {
            "error": {"code": error.code, "problem": error.problem, "hint": error.hint}
        }
        for name in ("conflicts", "failures"):
            if getattr(error, name, None) is not None:
                document["error"][name] = jsonable(_documents(getattr(error, name)))
        if (report := getattr(error, "report", None)) is not None:
            document["error"]["report"] = {
                **json.loads(report.to_json()),
                "findings": jsonable(report.findings),
            }
        with listener() as stdout:
            stdout.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    else:
        sys.stderr.write(f"error: {_line(error.problem)}\n  hint: {_line(error.hint)}\n")
    return error.exit_status


def _documents(said: Any) -> object:  # noqa: ANN401 — a table, or what the lake lists
    """Return what an error lists; a dataset's table of conflicts without JSON in text."""
    if not {"base", "ours", "theirs", "row"} <= {*getattr(said, "column_names", ())}:
        return said
    from registry.cli.deciding import documents_of

    return documents_of(said)


def _line(text: str) -> str:
    return " ".join(text.splitlines())


def jsonable(value: object) -> Any:  # noqa: ANN401, PLR0911 — JSON has no narrower type
    """Return a value as JSON's own types; bytes become hex, times ISO 8601, outlines WKT.

    Examples:
        >>> jsonable({"geometry": bytes.fromhex("0101000000" + 32 * "0"), "sha256": b"abc"})
        {'geometry': 'POINT (0 0)', 'sha256': '616263'}
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value))
        return {name: jsonable(getattr(value, name)) for name in fields if name[0] != "_"}
    if isinstance(value, Mapping):
        return {
            str(key): _outline(item)
            if key == "geometry" and isinstance(item, bytes)
            else jsonable(item)
            for key, item in value.items()
        }
    if hasattr(value, "to_pylist"):
        return jsonable(value.to_pylist())
    if isinstance(value, Iterable):
        return [jsonable(item) for item in value]
    return str(value)


def _outline(wkb: bytes) -> str:
    """Return an outline as WKT, as conflicts say it; what is none as hex."""
    import shapely

    shape = shapely.from_wkb(wkb, on_invalid="ignore")
    return wkb.hex() if shapely.is_missing(shape) else str(shape.wkt)


def table_text(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as aligned columns, as wide as they need to be when nobody watches."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def printable(text: str) -> str:
    r"""Return text that came with data without what a terminal would take for a command.

    Examples:
        >>> printable("red \x1b[31m") == "red \ufffd[31m"
        True
    """
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text)


def size_text(size: int) -> str:
    """Return a number of bytes in the unit that keeps it short.

    Examples:
        >>> size_text(14_400_000)
        '14.4 MB'
    """
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 — SI's step
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
