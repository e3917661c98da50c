"""A file that came back, read by a limited process: a hostile one harms none but its reader."""

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from registry.curate.exchange.cells import cell_types
from registry.curate.exchange.opening import PLACE
from registry.curate.exchange.origin import Origin
from registry.curate.exchange.spreadsheet import beside
from registry.errors import InvalidInputError, NotFoundError, RejectedError, UnavailableError
from registry.tables.schemas import TableSchema

__all__ = ["FileRows", "Limits", "read_rows"]

_CHILD: Final = Path(__file__).with_name("child.py")
_JOURNALS: Final = ("-wal", "-journal")
_KINDS: Final = {kind.code: kind for kind in (InvalidInputError, RejectedError)}
_SAID_IN: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may take to be read."""

    rows: int = 1_000_000
    """How many rows it may have."""

    size: int = 1 << 30
    """How large it may be, in bytes."""

    memory: int = 4 << 30
    """Address space of the process that reads it, in bytes."""

    seconds: int = 300
    """Processor time and wall-clock time of that process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRows:
    """The rows of a file, of the table's own types."""

    name: str
    """The file's name."""

    format: str
    """``GeoPackage``, ``GeoJSON``, ``COCO``, ``CSV`` or ``Parquet``."""

    table: str
    """The table."""

    rows: pa.Table
    """One column each cell that the file has; geometries as WKB in ``crs``."""

    places: tuple[str, ...]
    """Where each row stands in the file."""

    crs: str | None
    """System of the geometries, as the file states it."""

    origin: Origin | None
    """What the file says it was made from."""

    extra: tuple[str, ...]
    """Columns that are none of the table's."""

    blank_is_null: bool
    """Whether the format cannot tell an empty text from none."""


def read_rows(
    path: str | Path,
    schemas: Mapping[str, TableSchema],
    *,
    table: str | None = None,
    limits: Limits | None = None,
) -> FileRows:
    """Return the rows of a file that another tool wrote.

    Args:
        path: GeoPackage, GeoJSON, COCO, CSV or Parquet.
        schemas: Schemas of the tables that it may hold.
        table: Which one; by default as the file says.
        limits: What reading may take.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is no regular file, or nobody says which table it holds.
        RejectedError: It is not what it says, too large, or a value does not fit the table.
    """
    asked, most = Path(path).expanduser(), limits or Limits()
    _check(asked, most)
    with tempfile.TemporaryDirectory(prefix="eolab-") as folder:
        copy, note = _copied(asked, Path(folder))
        out = Path(folder) / "rows.arrow"
        job = {
            "path": str(copy),
            "suffix": asked.suffix.lower(),
            "note": note,
            "out": str(out),
            "table": table,
            "tables": {name: _said(schema) for name, schema in schemas.items()},
            "most_rows": most.rows,
            "memory": most.memory,
            "seconds": most.seconds,
            "parent": os.getpid(),
        }
        _run(job, asked.name, most)
        return _taken(out, asked.name, schemas)


def _check(path: Path, most: Limits) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise NotFoundError(f"there is no file {str(path)!r}", hint="check the path") from error
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"{str(path)!r} is no file", hint="name the file itself")
    if found.st_size > most.size:
        raise RejectedError(
            f"{path.name} has {found.st_size:,} bytes, more than {most.size:,}",
            hint="export fewer rows: --where, --samples",
        )


def _copied(path: Path, folder: Path) -> tuple[Path, str | None]:
    """Copy a file and what belongs to it, since tools that have it open still write to it.

    Returns:
        The copy, and the name of what lies beside it, if anything does.
    """
    copy = folder / "file"
    shutil.copyfile(path, copy)
    for end in _JOURNALS:  # edits that QGIS has not yet put into a GeoPackage
        journal = path.with_name(path.name + end)
        if journal.is_file():
            shutil.copyfile(journal, folder / f"file{end}")
    note = beside(path)
    if not note.is_file() or note.stat().st_size > 1 << 20:
        return copy, None
    shutil.copyfile(note, folder / "note")
    return copy, "note"


def _said(schema: TableSchema) -> dict[str, object]:
    cells = pa.schema(list(cell_types(schema).items())).serialize().to_pybytes()
    return {"cells": base64.b64encode(cells).decode(), "key": list(schema.key)}


def _run(job: Mapping[str, Any], name: str, most: Limits) -> None:
    root = Path(__file__).parents[3]
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD)],
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=most.seconds,
            check=False,
            cwd=Path(job["out"]).parent,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(root), **_QUIET},
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise RejectedError(
            f"{name} takes longer than {most.seconds} s to read",
            hint="export fewer rows: --where, --samples",
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"the process that reads files cannot start: {error}", hint="free some memory"
        ) from error
    if done.returncode:
        raise _refusal(done.stderr, done.returncode, name)


_QUIET: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _refusal(said: bytes, status: int, name: str) -> RejectedError | InvalidInputError:
    try:
        error = json.loads(said[-_SAID_IN * 4 :].rpartition(b"\n")[2])
        kind = _KINDS[error["code"]]
        return kind(f"{name}: {str(error['problem'])[:_SAID_IN]}", hint=str(error["hint"]))
    except (ValueError, KeyError, TypeError):
        words = said.decode(errors="replace").strip().rpartition("\n")[2][:160]
        return RejectedError(
            f"{name} stops the process that reads it (status {status}): {words}".rstrip(": "),
            hint="do not trust the file; save it again in the tool that it was edited with",
        )


def _check_types(schema: pa.Schema, kinds: Mapping[str, pa.DataType]) -> None:
    for one in schema:
        if kinds.get(one.name) != one.type:
            raise TypeError(one.name)


def _taken(out: Path, name: str, schemas: Mapping[str, TableSchema]) -> FileRows:
    """Return what the process wrote, after a look at whether it may be believed.

    Raises:
        RejectedError: It may not.
    """
    try:
        with pa.memory_map(str(out)) as source:
            rows = pa.ipc.open_file(source).read_all()
            rows.validate(full=True)
            about = json.loads((rows.schema.metadata or {})[b"about"])
            table = about["table"]
            kinds = {**cell_types(schemas[table]), PLACE: pa.string()}
            _check_types(rows.schema, kinds)
            places = tuple(rows.column(PLACE).to_pylist())
            plain = pa.table({  # copied: the file goes
                n: pa.concat_arrays([*rows.column(n).chunks, pa.array([], kinds[n])])
                for n in rows.column_names
                if n != PLACE
            })
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise RejectedError(
            f"{name} makes the process that reads it answer nonsense",
            hint="do not trust the file; save it again in the tool that it was edited with",
        ) from error
    crs = about.get("crs")
    return FileRows(
        name=name,
        format=str(about.get("format")),
        table=table,
        rows=plain,
        places=places,
        crs=crs if isinstance(crs, str) else None,
        origin=Origin.of(about.get("origin")),
        extra=tuple(map(str, about.get("extra", ()))),
        blank_is_null=about.get("blank_is_null") is True,
    )
