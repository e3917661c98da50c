"""What changed between two versions of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.catalog.trees import table_of, tables_among
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog.version import Version
    from registry.lake import Change

__all__ = ["DatasetDiff", "difference"]

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDiff:
    """Rows and files that differ between two versions of one dataset."""

    before: str
    """The earlier version's ref."""

    after: str
    """The later version's ref."""

    tables: "Mapping[str, pa.Table]"
    """For each table that changed, one row a changed key: what was done, which columns, before
    and after."""

    files: "tuple[Change, ...]"
    """Files outside tables that differ."""

    def to_text(self) -> str:
        """Return it for people: counts, then the first changed rows of each table."""
        if not (self.tables or self.files):
            return f"{self.before} and {self.after} are the same"
        lines = []
        for name, rows in self.tables.items():
            lines.append(f"{name}: {_counts(rows)}")
            if name == "pixels":  # hashes say nothing to people
                continue
            lines += [f"  {_row_text(row)}" for row in rows.slice(0, _SHOWN).to_pylist()]
            if rows.num_rows > _SHOWN:
                lines.append(f"  … and {rows.num_rows - _SHOWN:,} more")
        lines += [f"{change.path}: {change.kind}" for change in self.files]
        return "\n".join(lines)


def difference(before: "Version", after: "Version") -> DatasetDiff:
    """Return what changed from one version of a dataset to another, row by row.

    Raises:
        InvalidInputError: They are of two datasets.
    """
    if before.dataset != after.dataset:
        raise InvalidInputError(
            f"'{before.ref}' and '{after.ref}' are two datasets",
            hint="compare two refs of one dataset",
        )
    from registry.tables import diff

    changes = list(before.repository.diff(before.commit.id, after.commit.id))
    known = frozenset({*before.tables_published(), *after.tables_published()})
    tables = known | tables_among(change.path for change in changes)
    touched = {table_of(change.path, tables) for change in changes} - {None}
    rows = {
        name: diff.diff(before.root, after.root, name) for name in sorted(filter(None, touched))
    }
    return DatasetDiff(
        before=str(before.ref),
        after=str(after.ref),
        tables={name: table for name, table in rows.items() if table.num_rows},
        files=tuple(change for change in changes if table_of(change.path, tables) is None),
    )


def _counts(rows: "pa.Table") -> str:
    counts = rows.column("change").value_counts().to_pylist()
    return ", ".join(f"{each['counts']:,} {each['values']}" for each in counts)


def _row_text(row: Mapping[str, object]) -> str:
    parts = {"change", "columns", "before", "after"}
    key = " ".join(str(_short(value)) for name, value in row.items() if name not in parts)
    before, after = row.get("before") or {}, row.get("after") or {}
    columns = row.get("columns") or []
    if row["change"] != "updated" or not isinstance(columns, list):
        return f"{row['change']} {key}"
    sides = (before if isinstance(before, dict) else {}, after if isinstance(after, dict) else {})
    said = (f"{c}: {_short(sides[0].get(c))} → {_short(sides[1].get(c))}" for c in columns)
    return f"{row['change']} {key}  {'; '.join(said)}"


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 — a line of a terminal
