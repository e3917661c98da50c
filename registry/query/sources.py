"""From folders of Delta tables to views: names found, logs checked, active files listed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import pyarrow as pa

from registry.catalog.ref import DRAFT, Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.errors import InvalidInputError, NotFoundError
from registry.lake import lazy
from registry.query.engine import quoted
from registry.query.parsing import TableName
from registry.query.views import CRS84, View
from registry.tables.log import snapshot

__all__ = [
    "ITEMS",
    "SLICES",
    "Resolve",
    "commits_of_version",
    "folders_of_version",
    "sql_type",
    "table_names",
    "views_of",
]

_TYPE_NAMES: Final = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
}

Resolve = Callable[[str], Sequence[Path]]
"""Where a ref's tables are: its own folder first, then those of what was derived from it."""

ITEMS: Final = "items"
"""The table that ``items.parquet`` is seen as."""

SLICES: Final = "slices"
"""Folder whose Parquet files are seen as tables: ``slices/<id>``."""

MOST_DEPTH: Final = 2
"""Table names have at most two parts: ``samples``, ``splits/default``."""


def views_of(tables: Iterable[TableName], resolve: Resolve, *, fetch: bool = True) -> list[View]:
    """Say which views a query needs.

    Args:
        tables: What the query names.
        resolve: Finds the folders of a ref.
        fetch: Whether the files are to be here when this returns.

    Returns:
        A view for each table, and for those that ``chips`` is made of.

    Raises:
        NotFoundError: No such ref, or no such table in it.
        InvalidInputError: Two refs differ in nothing but upper and lower case.
    """
    wanted: dict[str, dict[str, str]] = {}
    for name in tables:
        of_ref = wanted.setdefault(name.ref, {})
        for table in _stored(name.table):
            of_ref.setdefault(table.lower(), table)
    _refuse_twins(wanted)
    return [
        view
        for ref, names in wanted.items()
        for view in _views(ref, names.values(), resolve(ref), fetch=fetch)
    ]


def _stored(table: str) -> tuple[str, ...]:
    return ("assets", "pixels") if table.lower() == "chips" else (table,)


def _refuse_twins(refs: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for ref in refs:
        if (twin := seen.setdefault(ref.lower(), ref)) != ref:
            raise InvalidInputError(
                f"refs {twin!r} and {ref!r} differ only in case, which SQL does not see",
                hint="spell a ref the same way everywhere, or name one of the two by its commit",
            )


def _views(
    ref: str, tables: Iterable[str], folders: Sequence[Path], *, fetch: bool
) -> Iterator[View]:
    found = {name.lower(): (name, path) for name, path in _tables(folders)}
    for table in tables:
        if table.lower() not in found:
            raise _no_table(ref, table, [name for name, _ in found.values()])
        name, path = found[table.lower()]
        view = _file_view(ref, name, path) if path.is_file() else _delta_view(ref, name, path)
        if fetch:
            lazy.ensure(*view.files)
        yield view


def _no_table(ref: str, table: str, there: list[str]) -> NotFoundError:
    close = get_close_matches(table, there, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    listed = ", ".join(sorted(there)) or "none"
    return NotFoundError(f"{ref!r} has no table {table!r}", hint=f"{meant}its tables are: {listed}")


def resolved(registry: Registry, ref: str) -> Version:
    """Return what a ref names; an error about a name says what comes close.

    Raises:
        NotFoundError: It names nothing.
    """
    try:
        return registry.resolve(ref)
    except NotFoundError as error:
        asked = Ref.parse(ref)
        if close := _close(registry, asked):
            raise type(error)(
                error.problem, hint=f'did you mean "{close}"? {error.hint}'
            ) from error
        raise


def _close(registry: Registry, asked: Ref) -> str | None:
    names = registry.names()
    if asked.dataset not in names:
        near = get_close_matches(asked.dataset, names, n=1)
        return str(Ref(dataset=near[0], at=asked.at)) if near else None
    if asked.at is None:
        return None
    repository = registry.lake.repository(asked.dataset)
    there = [*repository.tags(), *repository.branches(), DRAFT]
    near = get_close_matches(asked.at, there, n=1)
    return str(Ref(dataset=asked.dataset, at=near[0])) if near else None


def commits_of_version(version: Version) -> tuple[str, ...]:
    """Return the commits that a version's tables are in: its own, then that of what is derived."""
    derived = version.derived_at
    if version.tag is None:
        branch = f"derived/{version.commit.id}"
        derived = version.repository.branches(branch).get(branch)
    return (version.commit.id,) if derived is None else (version.commit.id, derived)


def folders_of_version(version: Version) -> tuple[Path, ...]:
    """Return where a version's tables are: its own folder, then that of what is derived."""
    return tuple(version.repository.locate(at).path for at in commits_of_version(version))


def table_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of a ref's tables, sorted."""
    return sorted({name for name, _ in _tables(folders)})


def _tables(folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield tables with where they are; of two of one name the first folder's comes last."""
    for folder in reversed(folders):
        root = folder.resolve()
        for log in sorted(_logs(root)):
            yield log.parent.relative_to(root).as_posix(), log.parent
        for file in (root / f"{ITEMS}.parquet", *sorted(root.glob(f"{SLICES}/*.parquet"))):
            if file.is_file() and not file.is_symlink():
                yield file.relative_to(root).as_posix().removesuffix(".parquet"), file


def _logs(root: Path) -> Iterator[Path]:
    for depth in range(1, MOST_DEPTH + 1):
        yield from root.glob("/".join(["*"] * depth) + "/_delta_log")


def _file_view(ref: str, name: str, path: Path) -> View:
    return View(ref=ref, table=name, folder=str(path.parent), files=(str(path),), columns={})


def _delta_view(ref: str, name: str, path: Path) -> View:
    depth = name.count("/") + 1
    found = snapshot(path.parents[depth - 1], name)
    columns = {field.name: sql_type(field.type) for field in found.arrow}
    crs = CRS84 if name == "samples" else ""
    return View(
        ref=ref,
        table=name,
        folder=str(path),
        files=tuple(found.paths()),
        columns=columns,
        geometry={"geometry": crs} if columns.get("geometry") == "BLOB" else {},
    )


def sql_type(kind: pa.DataType) -> str:
    """Write an Arrow type as the engine does.

    Returns:
        The type in SQL.

    Raises:
        InvalidInputError: Nothing of the kind can stand in a table of the lab.

    Examples:
        >>> sql_type(pa.list_(pa.timestamp("us", tz="UTC")))
        'TIMESTAMP WITH TIME ZONE[]'
    """
    if _is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = (f"{quoted(field.name)} {sql_type(field.type)}" for field in kind)
        return f"STRUCT({', '.join(fields)})"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    return _plain_type(kind)


def _plain_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE" if kind.tz else "TIMESTAMP"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if _is_text(kind):
        return "VARCHAR"
    if _is_binary(kind):
        return "BLOB"
    if kind not in _TYPE_NAMES:
        raise InvalidInputError(
            f"a column of type {kind} cannot be asked for", hint="declare it with a simpler type"
        )
    return _TYPE_NAMES[kind]


def _is_list(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list,
            pa.types.is_list_view,
        )
    )  # fmt: skip


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )
