"""Logs that speak of the files that stand for others, and of nothing that was forgotten.

A log may also tell of files that no commit has: one entry adds them, a later one of the same commit
removes them. Nothing stands for such a file; what is said of it, its statistics above all, is left
out where it may have had the rows.

References:
    Delta Transaction Log Protocol, "Actions" and "Checkpoints",
    https://github.com/delta-io/delta/blob/master/PROTOCOL.md.
"""

import io
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from registry.tables.log import DataFile
from registry.tables.rows import opened
from registry.tables.types import arrow_schema

__all__ = [
    "Renamed",
    "about_files",
    "about_files_in_checkpoint",
    "columns_in_checkpoint",
    "columns_in_logs",
    "rewrite_checkpoint",
    "rewrite_entry",
]

Renamed = Mapping[str, Sequence[DataFile]]
"""What stands for a data file, by its path in the table; nothing where no row is left."""

Says = Callable[[str], str]
"""Takes the names of what is forgotten out of a text."""


def columns_in_logs(entries: Iterable[bytes]) -> pa.Schema:
    """Return every column that a table's log entries ever stated, as last stated."""
    fields: dict[str, pa.Field] = {}
    for data in entries:
        for line in data.splitlines():
            if b'"metaData"' in line:
                stated = orjson.loads(line).get("metaData") or {}
                fields |= {one.name: one for one in arrow_schema(stated.get("schemaString", ""))}
    return pa.schema(list(fields.values()))


def columns_in_checkpoint(path: Path) -> pa.Schema:
    """Return the columns that a checkpoint states."""
    with opened(path) as file:
        stated = file.read(columns=["metaData.schemaString"]).column("metaData").drop_null()
    texts = [one["schemaString"] for one in stated.to_pylist() if one["schemaString"]]
    return arrow_schema(texts[-1]) if texts else pa.schema([])


def about_files(entry: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield what a log entry says of files that it adds or removes."""
    for line in entry.splitlines():
        if line.strip():
            body = _about(orjson.loads(line))
            if body:
                yield body


def about_files_in_checkpoint(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what a checkpoint says of files that were added or removed."""
    with opened(path) as file:
        bodies = map(_about, file.read().to_pylist())
        yield from (body for body in bodies if body)


def _about(action: Mapping[str, Any]) -> Mapping[str, Any]:
    body = action.get("add") or action.get("remove")
    return body if isinstance(body, dict) else {}


def _speaks_of(action: Mapping[str, Any], files: Container[str]) -> bool:
    """Return whether a log's action names one of some files."""
    return _about(action).get("path", "") in files


def rewrite_entry(
    data: bytes, renamed: Renamed, says: Says, unheld: Container[str] = frozenset()
) -> bytes:
    """Return a log entry that speaks of the files that stand for others, and of no forgotten name.

    Args:
        data: The entry.
        renamed: What stands for which file.
        says: Takes the forgotten names out of a text.
        unheld: Files that no commit has, of which nothing is said any more.

    Returns:
        The entry; the same bytes where it speaks of none of that.
    """
    lines, changed = [], False
    for line in data.splitlines():
        if not line.strip():
            continue
        action = orjson.loads(line)
        said = list(_actions(action, renamed, says, unheld))
        changed |= said != [action]
        lines += said
    if not changed:
        return data
    if not lines:  # an entry may not be empty
        lines = [{"commitInfo": {"operation": "WRITE"}}]
    text = "".join(json.dumps(a, separators=(",", ":"), ensure_ascii=False) + "\n" for a in lines)
    return text.encode()


def _actions(
    action: dict[str, Any], renamed: Renamed, says: Says, unheld: Container[str]
) -> Iterator[dict[str, Any]]:
    if _speaks_of(action, unheld):
        return
    if _speaks_of(action, renamed):
        ((kind, body),) = ((k, v) for k, v in action.items() if v is not None)
        for number, one in enumerate(renamed[body["path"]]):
            place = number if len(renamed[body["path"]]) > 1 else None
            yield {kind: _said_anew(kind, body, one, place)}
    elif isinstance(action.get("commitInfo"), dict):
        yield {**action, "commitInfo": _clean(action["commitInfo"], says)}
    else:
        yield action


def _said_anew(
    kind: str, body: Mapping[str, Any], one: DataFile, place: int | None
) -> dict[str, Any]:
    """Return an action about another file, without what was known of the old one's rows."""
    said = {k: v for k, v in body.items() if k not in {"stats", "stats_parsed"}}
    said["path"] = one.path
    if kind == "add" or said.get("size") is not None:
        said["size"] = one.size
    if kind == "add":
        said["stats"] = json.dumps(one.stats, separators=(",", ":"), ensure_ascii=False)
    tags = said.get("tags")
    if place is not None and tags:
        pairs = dict(tags)
        if "order" in pairs:
            pairs["order"] = f"{pairs['order']}.{place:04d}"
        said["tags"] = pairs if isinstance(tags, dict) else list(pairs.items())
    return said


def _clean(said: Any, says: Says) -> Any:  # noqa: ANN401 — any JSON value
    if isinstance(said, str):
        return says(said)
    if isinstance(said, dict):
        return {says(name): _clean(value, says) for name, value in said.items()}
    if isinstance(said, list):
        return [_clean(value, says) for value in said]
    return said


def rewrite_checkpoint(
    path: Path, renamed: Renamed, unheld: Container[str] = frozenset()
) -> bytes | None:
    """Return a checkpoint that speaks of the files that stand for others.

    Args:
        path: The checkpoint.
        renamed: What stands for which file.
        unheld: Files that no commit has, of which nothing is said any more.

    Returns:
        The checkpoint; None if it speaks of none of them.
    """
    with opened(path) as file:
        schema, rows = file.schema_arrow, file.read().to_pylist()
    if not any(_speaks_of(row, renamed) or _speaks_of(row, unheld) for row in rows):
        return None
    made = []
    for row in rows:
        said = _actions(row, renamed, str, unheld)
        made += [dict.fromkeys(row) | one for one in said]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(made, schema=schema), out, compression="zstd")
    return out.getvalue()
