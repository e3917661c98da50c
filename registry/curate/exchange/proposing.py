"""Edits from a file, shown before they are committed: nothing changes until somebody says so."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from registry.catalog import Ref
from registry.catalog.comparing.differing import table_lines
from registry.catalog.ref import DRAFT, is_tag
from registry.curate.exchange.arriving import arrived, check_samples
from registry.curate.exchange.brought import Brought, EditedMeanwhileError
from registry.curate.exchange.cells import GEOMETRY
from registry.curate.exchange.choosing import chosen_rows, ids_of
from registry.curate.exchange.exporting import Leaving, leaving, reachable
from registry.curate.exchange.matching import by_outline
from registry.curate.exchange.origin import Origin
from registry.curate.exchange.pictures import Pictures, systems_of
from registry.curate.exchange.reading import FileRows, Limits, read_rows
from registry.curate.exchange.returning import Returned, keys_of, returned
from registry.curate.exchange.sheet import PIXELS
from registry.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RejectedError,
)
from registry.geo import normalise_crs
from registry.geo.systems import CRS84
from registry.lake import lazy
from registry.tables import edit, store
from registry.tables.changes import table_diff
from registry.tables.conform import conform
from registry.tables.log import LOG, snapshot
from registry.tables.merge import merge_table

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.lake import Workspace
    from registry.tables.log import Root
    from registry.tables.schemas import TableSchema

__all__ = ["Proposal", "propose"]

_SHORT: Final = 12


@dataclass(slots=True, kw_only=True)
class Proposal:
    """A file's edits as they would be; ends committed or forgotten."""

    brought: Brought
    """What would change."""

    _workspace: "Workspace" = field(repr=False)

    def commit(self, message: str | None = None) -> Brought:
        """Make the edits one commit.

        Args:
            message: Why; made from the counts by default.

        Returns:
            What was done, with the commit.

        Raises:
            ConflictError: The branch has moved since the proposal was made.
        """
        one = self.brought
        if not one.differs:
            return one
        counts = ", ".join(
            f"{count:,} {what}"
            for what, count in (
                ("inserted", one.inserted), ("updated", one.updated), ("deleted", one.deleted),
            )
            if count
        )  # fmt: skip
        made = self._workspace.commit(
            message or f"edit {one.table} from {one.file}: {counts}",
            metadata={"edited-from": one.base},
        )
        return replace(one, commit=made.id)


@contextmanager
def propose(
    registry: "Registry",
    ref: Ref | str,
    file: str | Path,
    *,
    table: str | None = None,
    delete_missing: bool = False,
    base: str | None = None,
    limits: Limits | None = None,
) -> Iterator[Proposal]:
    """Bring rows back that were edited in another tool, by their keys.

    What was edited is told by the commit that the file was made from; where the branch has moved
    since, the edits are merged into it row by row, so that nothing which came in meanwhile is lost.

    Args:
        registry: Where the dataset is.
        ref: ``name`` or ``name@draft`` is the caller's draft; else a branch.
        file: GeoPackage, GeoJSON, COCO, CSV or Parquet.
        table: Which table; by default as the file says.
        delete_missing: Delete rows that were exported and are not in the file.
        base: Ref that the file was made from; by default as the file says, else the branch.
        limits: What reading the file may take.

    Yields:
        The proposal, to be looked at and committed.

    Raises:
        ForbiddenError: The ref is a published version, which never changes.
        RejectedError: The file is not what it says, or a value does not fit the table.
        EditedMeanwhileError: Somebody else changed the same in the same rows since.
        InvalidInputError: The file is of another dataset, or nobody says of which table.
        NotFoundError: There is no such file, dataset or branch.
    """
    asked = Ref.parse(ref) if isinstance(ref, str) else ref
    if asked.at is not None and is_tag(asked.at):
        raise ForbiddenError(
            f"'{asked}' is published and never changes",
            hint=f"edit a draft or a branch: eolab edit {asked.dataset}@draft --from {file}",
        )
    draft = registry.draft(asked.dataset, asked.at)
    with draft.repository.workspace(draft.branch) as workspace:
        head = draft.repository.locate(workspace.head)
        schemas = _editable(head)
        found = read_rows(file, schemas, table=table, limits=limits)
        _check_dataset(found, asked.dataset)
        start = _base(registry, asked, found, base) or workspace.head
        desk = _Desk(
            registry=registry,
            file=found,
            schema=schemas[found.table],
            base=draft.repository.locate(start),
            head=head,
            known=base is not None or found.origin is not None,
        )
        edits = desk.edits(delete_missing=delete_missing)
        desk.apply(edits, workspace.path)
        yield Proposal(
            brought=_told(desk, edits, workspace, asked, start),
            _workspace=workspace,
        )


def _editable(root: "Root") -> dict[str, "TableSchema"]:
    schemas = {name: store.schema_of(root, name) for name in store.names(root)}
    return {name: one for name, one in schemas.items() if one.key and not one.append_only}


def _check_dataset(found: FileRows, dataset: str) -> None:
    if found.origin is not None and found.origin.dataset != dataset:
        other = found.origin.dataset[:80]
        raise InvalidInputError(
            f"{found.name} was made from dataset {other!r}, not from {dataset!r}",
            hint=f"bring it back there: eolab edit {other}@BRANCH --from …",
        )


def _base(registry: "Registry", asked: Ref, found: FileRows, base: str | None) -> str | None:
    """Return the commit that a file was made from; None if nobody says.

    Raises:
        InvalidInputError: The ref is of another dataset.
        RejectedError: This lake does not have it.
    """
    if base is not None:
        ref = Ref.parse(base if "@" in base else f"{asked.dataset}@{base}")
        if ref.dataset != asked.dataset:
            raise InvalidInputError(
                f"'{ref}' is another dataset than '{asked.dataset}'", hint="name a ref of it"
            )
        return registry.resolve(ref).commit.id
    if found.origin is None:
        return None
    try:
        ref = Ref.parse(f"{asked.dataset}@{found.origin.commit}")
        return registry.resolve(ref).commit.id
    except (NotFoundError, InvalidInputError) as error:
        raise RejectedError(
            f"{found.name} was made from {found.origin.ref!r:.80} at commit "
            f"{found.origin.commit[:_SHORT]!r}, which this lake does not have",
            hint="say what it was made from, as it is called here: --base v1",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edits:
    """What is to be done to the table as it was given out."""

    returned: Returned
    inserted: pa.Table
    deleted: pa.Table
    notes: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Desk:
    """One file while its edits are found and put in."""

    registry: "Registry"
    file: FileRows
    schema: "TableSchema"
    base: "Root"
    head: "Root"
    known: bool

    def edits(self, *, delete_missing: bool) -> _Edits:
        """Return what was edited in the file."""
        given = self._given()
        file = self._by_sample(given)
        check_samples(file.rows, self.schema, (self.head, self.base), file.name)
        keys = keys_of(file, self.schema)
        if file.format == "COCO":
            keys = by_outline(file, given, keys)
        back = returned(file, given, self.schema, keys)
        taken = given.rows.column(self.schema.key[0]).to_pylist() if self.known else ()
        fresh = arrived(file, back.fresh, self.schema, given.placing, root=self.head, taken=taken)
        for rows in (fresh, back.changed):
            check_samples(rows, self.schema, (self.head,), file.name)
        notes = list(back.notes)
        if not self.known:
            notes.insert(
                0,
                f"{file.name} does not say what it was made from, so it is compared with the "
                "branch as it is now; say it by --base if others have edited it since",
            )
        deleted = back.missing if delete_missing else back.missing.slice(0, 0)
        return _Edits(returned=back, inserted=fresh, deleted=deleted, notes=tuple(notes))

    def _given(self) -> Leaving:
        """Return the rows that the file was given, in its own system."""
        origin = self.file.origin or Origin(dataset="-", ref="-", commit="-", table="-")
        ids = ids_of(self.registry, origin.samples) if origin.samples else None
        if store.exists(self.base, self.schema.name):
            schema = store.schema_of(self.base, self.schema.name)
            rows = chosen_rows(self.base, schema, where=origin.where, ids=ids)
            fields = [f.with_nullable(f.name not in self.schema.key) for f in self.schema.arrow]
            rows = conform(rows, replace(self.schema, arrow=pa.schema(fields)))
        else:
            rows = self.schema.empty()
        kind = "coco" if self.file.format == "COCO" else self.file.format.lower()
        crs = self._crs(rows, origin)
        if self.file.origin is None and crs is not None and kind != "coco":
            rows = reachable(self.base, rows, crs)  # what it never held is not missing in it
        there = self.file.rows.column_names
        return leaving(
            self.base,
            self.schema,
            rows,
            format=kind,
            crs=crs,
            placed=GEOMETRY in there,
            also=self.file.rows.column("sample").to_pylist() if "sample" in there else (),
        )

    def _crs(self, rows: pa.Table, origin: Origin) -> str | None:
        """Return the system of the file's geometries; None for that of the rows.

        Raises:
            RejectedError: The file names one that nobody knows.
        """
        stated = self.file.crs
        if origin.frame == "pixel" or self.file.format == "COCO":
            return PIXELS
        if "frame" in rows.column_names and self.file.format == "GeoJSON" and stated == CRS84:
            frames = set(rows.column("frame").to_pylist())
            if frames == {"pixel"}:  # the mark of pixels is lost when a GIS saves GeoJSON anew
                return PIXELS
        if stated is None or stated == PIXELS:
            return stated
        try:
            return normalise_crs(stated)
        except InvalidInputError as error:
            raise RejectedError(
                f"{self.file.name}: {error.problem}", hint="save it in EPSG:4326"
            ) from error

    def _by_sample(self, given: Leaving) -> FileRows:
        """Return the rows with samples in place of the names of their pictures.

        Raises:
            RejectedError: A picture is of no sample.
        """
        if self.file.format != "COCO":
            return self.file
        pictures = Pictures(by_sample=given.placing.pictures or {})
        rows = self.file.rows
        names = rows.column("sample").to_pylist()
        found = {name: pictures.sample_of(name) for name in set(names) if name}
        for name, place in zip(names, self.file.places, strict=True):
            if found.get(name) is None:
                raise RejectedError(
                    f"{self.file.name}, {place}: its image {name!r:.80} is no picture "
                    "of the dataset",
                    hint="give images the names that eolab checkout --as coco gives them",
                )
        column = pa.array([found[name] for name in names], pa.string())
        at = rows.column_names.index("sample")
        return replace(self.file, rows=rows.set_column(at, "sample", column))

    def apply(self, edits: _Edits, into: Path) -> None:
        """Put the edits into a writable folder that holds the branch."""
        name = self.schema.name
        if _paths(self.base, name) == _paths(self.head, name):
            self._write(edits, into)
            return
        with tempfile.TemporaryDirectory(prefix="eolab-") as folder:
            theirs = Path(folder)
            _lay(self.base, name, theirs)
            self._write(edits, theirs)
            done = merge_table(self.base, self.head, theirs, into=into, name=name)
        if done.conflicts.num_rows:
            raise self._conflict(done.conflicts)

    def _write(self, edits: _Edits, root: Path) -> None:
        if edits.deleted.num_rows:
            edit.delete(root, self.schema.name, keys=edits.deleted)
        for rows in (edits.returned.changed, edits.inserted):
            if rows.num_rows:
                edit.upsert(root, self.schema, rows)

    def _conflict(self, conflicts: pa.Table) -> EditedMeanwhileError:
        first = conflicts.select(list(self.schema.key)).slice(0, 1).to_pylist()[0]
        key = "/".join(map(str, first.values()))
        count = conflicts.num_rows
        start = self.file.origin.commit[:_SHORT] if self.file.origin else "COMMIT"
        dataset = self.file.origin.dataset if self.file.origin else "NAME"
        return EditedMeanwhileError(
            f"{count} row{'s were' if count > 1 else ' was'} edited both in "
            f"{self.file.name} and on the branch since the export, first {key}",
            hint=f"put the file on a branch of its own and merge that: eolab branch {dataset} "
            f"NEW --at {start}, eolab edit {dataset}@NEW --from …, eolab merge {dataset} NEW",
            conflicts=conflicts,
        )


def _paths(root: "Root", name: str) -> Mapping[str, int]:
    if not store.exists(root, name):
        return {}
    return {one.path: one.size for one in snapshot(root, name).files}


def _lay(root: "Root", name: str, into: Path) -> None:
    """Lay a table into a folder where it may be written to; data files are shared, logs copied."""
    if not store.exists(root, name):
        return
    found = snapshot(root, name)
    lazy.ensure(*found.paths())
    target = into / name
    shutil.copytree(found.folder / LOG, target / LOG)
    for path in (found.folder / one.path for one in found.files):
        place = target / path.relative_to(found.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:  # another file system, or too many links
            shutil.copyfile(path, place)


def _told(desk: _Desk, edits: _Edits, workspace: "Workspace", asked: Ref, start: str) -> Brought:
    found = table_diff(desk.head, workspace.path, desk.schema.name)

    def systems(samples: Sequence[str]) -> dict[str, str | None]:
        return {sample: one.crs for sample, one in systems_of(desk.head, samples).items()}

    back = edits.returned
    return Brought(
        ref=f"{asked.dataset}@{asked.at or DRAFT}",
        table=desk.schema.name,
        file=desk.file.name,
        base=start,
        inserted=found.inserted,
        updated=found.updated,
        deleted=found.deleted,
        unchanged=back.unchanged,
        missing=back.missing.num_rows - edits.deleted.num_rows,
        notes=edits.notes,
        changes=found.to_table(systems),
        lines=tuple(table_lines(found, (), systems, None)),
    )
