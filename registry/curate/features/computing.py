"""Compute feature sets on a version and keep them beside it: all of them in one commit, or none."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from registry.catalog.ref import Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.features.assembling import assemble, failures_of, failures_there
from registry.curate.features.cells import write_cells
from registry.curate.features.definition import FeatureSet
from registry.curate.features.inputs import engine
from registry.curate.features.naming import calls_of
from registry.curate.features.outcome import Computed, Outcome, Reason
from registry.curate.features.planning import Plan, computable, plan, work_of
from registry.curate.features.records import (
    Record,
    columns_of,
    packages,
    record_at,
    table_name,
    table_schema,
)
from registry.curate.features.reuse import (
    Earlier,
    Todo,
    earlier_tables,
    inputs_id,
    todo,
    write_digests,
)
from registry.curate.features.threads import on_threads
from registry.curate.features.verifying import FeaturesDifferError, differences
from registry.curate.features.work import Call, OnError, Runner
from registry.errors import ConflictError
from registry.progress import SILENT, Progress
from registry.tables import store

if TYPE_CHECKING:
    import duckdb

__all__ = ["FeaturesExistError", "compute"]

_TRIES: Final = 5


def compute(
    registry: Registry,
    ref: Ref | str,
    sets: Sequence[str | Call],
    *,
    run: Runner = on_threads,
    engine_name: str = "library",
    on_error: OnError = "skip",
    again: bool = False,
    progress: Progress = SILENT,
) -> Computed:
    """Compute feature sets on a published version and keep them as tables ``features/<set>``.

    Rows whose inputs are what they were in an earlier version are taken over from there. All
    tables come in one commit on the branch beside the version, so a run that ends early leaves
    nothing.

    Args:
        registry: Where the version is.
        ref: The version, such as ``ships@v2``.
        sets: Names of sets, ``all``, files of own definitions, ``ships@v1/mine``, or calls.
        run: Has the work done: on threads, or by Spark.
        engine_name: What ``run`` is called in the record.
        on_error: Whether a sample on which a function raises ends the work or is reported.
        again: Compute tables that are there once more and compare them bit by bit.
        progress: Told what happens.

    Returns:
        What became of each set.

    Raises:
        InvalidInputError: The ref is no published version, or it cannot have a set.
        FeaturesDifferError: Computed again, the values differ though the recipe is the same.
        ConflictError: There is a table of another recipe, and ``again`` is not set.
        VersionWithdrawnError: It was withdrawn, perhaps meanwhile.
    """
    found = plan(registry, ref, calls_of(registry, sets))
    with tempfile.TemporaryDirectory(prefix="eolab-features-") as folder:
        job = _Job(
            registry=registry, found=found, run=run, engine=engine_name, on_error=on_error,
            again=again, progress=progress, folder=Path(folder),
        )  # fmt: skip
        return job.done()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A set's new table, as a file."""

    made: FeatureSet
    file: Path
    record: Record
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    registry: Registry
    found: Plan
    run: Runner
    engine: str
    on_error: OnError
    again: bool
    progress: Progress
    folder: Path

    def done(self) -> Computed:
        up_to_date = {} if self.again else _up_to_date(self.found, self.found.version)
        if self.on_error == "stop":  # what failed there has to fail once more
            up_to_date = {name: one for name, one in up_to_date.items() if not one.failed}
        calls = [one for one in self.found.calls if one.resolve().name not in up_to_date]
        with engine() as connection:
            tables = self._tables(connection, calls) if calls else {}
        empty = self._empty(tables)
        tables = {name: one for name, one in tables.items() if name not in empty}
        commit, outcomes = self._committed(tables, up_to_date)
        version = self.found.version
        return Computed(
            dataset=version.dataset, version=version.label, content_id=version.content_id,
            engine=self.engine, commit=commit, left_out={**self.found.left_out, **empty},
            sets=tuple(outcomes[name] for name in sorted(outcomes)),
        )  # fmt: skip

    # ------------------------------------------------------------------------------- computing
    def _tables(
        self, connection: "duckdb.DuckDBPyConnection", calls: Sequence[Call]
    ) -> dict[str, _Made]:
        sets = [call.resolve() for call in calls]
        digests = self.folder / "digests.parquet"
        self.progress.stage("looking at what has changed", total=None, unit="sets")
        write_digests(connection, self.found, sets, digests)
        earlier = {} if self.again else earlier_tables(self.registry, self.found.version, sets)
        wanted = {
            one.name: todo(
                connection, digests, one, earlier.get(one.name),
                out=self.folder / f"{one.name}.ids.parquet",
            )
            for one in sets
        }  # fmt: skip
        fresh = self._evaluated(calls, wanted)
        return {
            one.name: self._assembled(connection, one, call, digests, fresh[one.name], earlier)
            for one, call in zip(sets, calls, strict=True)
        }

    def _evaluated(
        self, calls: Sequence[Call], wanted: Mapping[str, Todo | None]
    ) -> dict[str, Path | None]:
        """Return where each set's values are, had in one pass for all that want the same."""
        groups: dict[str | None, list[Call]] = {}
        for call in calls:
            some = wanted[call.resolve().name]
            groups.setdefault(None if some is None else some.key, []).append(call)
        where: dict[str, Path | None] = {}
        for number, members in enumerate(groups.values()):
            some = wanted[members[0].resolve().name]
            out = self.folder / f"values-{number}" if some is None or some.count else None
            if out is not None:
                self._run(members, some, out)
            where |= {call.resolve().name: out for call in members}
        return where

    def _run(self, calls: Sequence[Call], some: Todo | None, out: Path) -> None:
        version = self.found.version
        samples = None if some is None else str(some.file)
        if any(call.resolve().gathering is not None for call in calls):
            samples = str(write_cells(version, out.with_suffix(".cells")))
        out.mkdir()
        names = ", ".join(call.resolve().name for call in calls)
        count = version.count("samples") if some is None else some.count
        self.progress.stage(f"computing {names}", total=count, unit="samples")
        work = work_of(self.found, calls, samples=samples, on_error=self.on_error)
        self.run(work, out, self.progress)

    def _assembled(
        self,
        connection: "duckdb.DuckDBPyConnection",
        made: FeatureSet,
        call: Call,
        digests: Path,
        fresh: Path | None,
        earlier: Mapping[str, Earlier],
    ) -> _Made:
        file = self.folder / f"{made.name}.parquet"
        known = earlier.get(made.name)
        counts = assemble(
            connection, self.found, made, digests=digests, fresh=fresh, earlier=known, out=file
        )
        failed, reasons = failures_of(connection, file, fresh, made)
        version = self.found.version
        record = Record(
            name=made.name, version=made.version, title=made.title, recipe=made.recipe,
            code=made.code, parameters=dict(made.parameters), columns=columns_of(made),
            inputs=inputs_id(self.found, made), content_id=version.content_id,
            commit=version.commit.id, engine=self.engine, packages=packages(),
            evaluated=counts.evaluated, kept=counts.kept,
            kept_from=known.label if known and counts.kept else None, failed=failed,
            call=call.to_document(),
        )  # fmt: skip
        return _Made(made=made, file=file, record=record, reasons=reasons)

    def _empty(self, tables: Mapping[str, "_Made"]) -> dict[str, str]:
        """Return the sets that nobody named and that have no value at all, with the reason."""
        return {
            name: one.reasons[0].problem
            for name, one in tables.items()
            if name in self.found.implied
            and one.reasons
            and one.record.failed == one.record.evaluated + one.record.kept
        }

    # ------------------------------------------------------------------------------ committing
    def _committed(
        self, tables: Mapping[str, _Made], up_to_date: Mapping[str, Record]
    ) -> tuple[str | None, dict[str, Outcome]]:
        outcomes = {
            name: _outcome(record, "there", failures_there(self.found.version, record))
            for name, record in up_to_date.items()
        }
        self.progress.stage("keeping the tables", total=None, unit="tables")
        # Not by `catalog.beside`: each try looks again at what is there, compares or refuses, may
        # write less than the one before, and has to know its commit.
        for left in reversed(range(_TRIES)):
            version = self._standing()
            there = _up_to_date(self.found, version)
            write: list[_Made] = []
            for name, one in tables.items():
                outcomes[name] = _outcome(one.record, "computed", one.reasons)
                if name in there:  # before, or somebody was faster
                    differing = differences(version, one.made, one.file, there[name], one.record)
                    if differing is not None:
                        raise FeaturesDifferError(*differing)
                    status = "equal" if self.again else "there"
                    outcomes[name] = _outcome(one.record, status, one.reasons)
                else:
                    self._refuse_other(version, name, one.record)
                    write.append(one)
            if not write:
                return None, outcomes
            try:
                return self._write(version, write), outcomes
            except ConflictError:
                if not left:
                    raise
        return None, outcomes

    def _write(self, version: Version, tables: Sequence[_Made]) -> str:
        draft = self.registry.derive(version)
        names = ", ".join(one.made.name for one in tables)
        said = {f"features.{one.made.name}": one.record.recipe for one in tables}
        with draft.repository.workspace(draft.branch) as workspace:
            for one in tables:
                shutil.rmtree(workspace.path / table_name(one.made), ignore_errors=True)
                schema = table_schema(one.made, one.record)
                with pq.ParquetFile(one.file) as file:
                    store.append(workspace.path, schema, file.iter_batches())
            self._standing()
            message = f"compute features {names} of {version.dataset}@{version.tag}"
            return str(workspace.commit(message, metadata=said).id)

    def _standing(self) -> Version:
        """Return the version as it is now; refused if it was withdrawn meanwhile."""
        version = self.found.version
        return computable(self.registry, Ref(dataset=version.dataset, at=version.tag))

    def _refuse_other(self, version: Version, name: str, record: Record) -> None:
        other = record_at(version.derived, name)
        if self.again or (other is not None and other.recipe == record.recipe):
            return
        if other is None:
            if table_name(name) not in version.tables():
                return
            raise FeaturesExistError(
                f"{version.dataset}@{version.tag} has features '{name}' that no set made",
                hint="call your set otherwise, or put the new ones in their place: --again",
            )
        raise FeaturesExistError(
            f"{version.dataset}@{version.tag} has features '{name}' of another recipe "
            f"({', '.join(changed_parts(other, record)) or 'its code'} differ)",
            hint="keep them, or put the new ones in their place: --again",
        )


class FeaturesExistError(ConflictError):
    """A version has features of this name that were made by another recipe."""

    code = "features-exist"


def changed_parts(before: Record, after: Record) -> list[str]:
    """Return which parts of a recipe differ."""
    parts: dict[str, tuple[Any, Any]] = {
        "version": (before.version, after.version),
        "parameters": (dict(before.parameters), dict(after.parameters)),
        "columns": (before.columns, after.columns),
        "code": (before.code, after.code),
    }
    return [name for name, (was, is_) in parts.items() if was != is_]


def _up_to_date(found: Plan, version: Version) -> dict[str, Record]:
    """Return the records of tables that are what the plan would make, by set."""
    there = {}
    for made in found.sets:
        record = record_at(version.derived, made.name)
        if record and record.recipe == made.recipe and record.inputs == inputs_id(found, made):
            there[made.name] = record
    return there


def _outcome(record: Record, status: str, reasons: tuple[Reason, ...]) -> Outcome:
    done = status != "there"
    return Outcome(
        set=record.name, status=status, recipe=record.recipe,
        evaluated=record.evaluated if done else 0, kept=record.kept if done else 0,
        kept_from=record.kept_from if done else None, failed=record.failed,
        reasons=reasons,
    )  # fmt: skip
