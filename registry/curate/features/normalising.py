"""What training normalises by, wherever a version stands: kept beside it, or computed on the spot.

The set ``statistics`` is kept beside published versions. A draft has no such place, and a lake may
be read-only; then the same numbers are computed for the asking and are gone with the process.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.catalog.registry import Registry
from registry.catalog.splits import in_lab_words, usual_split
from registry.catalog.version import Version
from registry.curate.features.assembling import assemble
from registry.curate.features.cells import EVERYTHING, subsets_of_cells, write_cells
from registry.curate.features.computing import compute
from registry.curate.features.inputs import engine
from registry.curate.features.planning import Plan, asset_facts, work_of
from registry.curate.features.statistics import Normalisation, normalisation
from registry.curate.features.threads import on_threads
from registry.curate.features.work import CELL, Call
from registry.errors import ForbiddenError, NotFoundError, UnavailableError
from registry.progress import SILENT, Progress
from registry.tables import store

__all__ = ["normalisations", "normalisations_of"]

_SPLITS: Final = "splits/"
_SET: Final = "statistics"
_COLUMNS: Final = ("mean", "std", "median", "mad", "p2", "p98")


def normalisations(
    version: Version,
    assets: Sequence[str],
    *,
    split: str = "default",
    subset: str = "train",
    registry: Registry | None = None,
    progress: Progress = SILENT,
) -> Mapping[str, Normalisation]:
    """Return what assets are normalised by: physical values of the training samples alone.

    Statistics that were not computed yet are computed, and kept beside a published version where
    that can be.

    Args:
        version: A version, or a draft.
        assets: Names of its assets.
        split: Name of the split, as :func:`registry.catalog.splits.usual_split` understands it;
            without any split all samples count.
        subset: Of which subset; others' words for it are understood.
        registry: Where new statistics are kept; None to keep none.
        progress: Told of what has to be computed.

    Raises:
        NotFoundError: There is no such split, or no pixel was observed in that subset.
    """
    name = usual_split(version, split)
    subset = in_lab_words(subset)
    of = EVERYTHING if name is None else (name, subset)
    try:
        return _kept(version, assets, of)
    except NotFoundError:
        _refuse_empty(version, name, subset)
    if registry is not None and version.tag is not None and version.tombstone is None:
        try:
            compute(registry, f"{version.dataset}@{version.tag}", [_SET], progress=progress)
            return _kept(registry.resolve(f"{version.dataset}@{version.tag}"), assets, of)
        except (ForbiddenError, UnavailableError, NotFoundError):
            pass  # it cannot be kept there, or was kept before under other words
    return _on_the_spot(version, assets, of, progress)


def normalisations_of(
    version: Version, assets: Sequence[str], samples: pa.Array, *, progress: Progress = SILENT
) -> Mapping[str, Normalisation]:
    """Return what assets are normalised by where only some samples may be looked at.

    The numbers are computed for the asking and kept nowhere.

    Args:
        version: A version, or a draft.
        assets: Names of its assets.
        samples: Ids of the samples, such as those of all folds but the one that is held out.
        progress: Told of what has to be computed.

    Raises:
        NotFoundError: No pixel was observed in them.
    """
    return _on_the_spot(version, assets, EVERYTHING, progress, samples=samples)


def _kept(
    version: Version, assets: Sequence[str], of: tuple[str, str]
) -> Mapping[str, Normalisation]:
    split, subset = of
    return {
        asset: normalisation(version, asset, split=split, subset=subset, physical=True)
        for asset in assets
    }


def _refuse_empty(version: Version, split: str | None, subset: str) -> None:
    if split is None:
        return
    column = version.table(f"{_SPLITS}{split}", columns=["subset"]).column("subset")
    there = sorted({in_lab_words(one) for one in pc.unique(column).drop_null().to_pylist()})
    if subset not in there:
        raise NotFoundError(
            f"split '{split}' of {version.ref} has no subset '{subset}' to normalise by",
            hint=f"it has {', '.join(there) or 'no samples'}; name one, or normalise as a model "
            "does: give its contract",
        )


def _on_the_spot(
    version: Version,
    assets: Sequence[str],
    of: tuple[str, str],
    progress: Progress,
    *,
    samples: pa.Array | None = None,
) -> Mapping[str, Normalisation]:
    if not store.exists(version.root, "samples"):
        raise NotFoundError(
            f"{version.ref} has no samples", hint=f"add some: eolab add {version.dataset}"
        )
    facts = tuple(one for one in asset_facts(version) if one.name in assets)
    call = Call(name=_SET)
    found = Plan(version=version, calls=(call,), assets=facts)
    with tempfile.TemporaryDirectory(prefix="eolab-statistics-") as folder, engine() as connection:
        values, out = Path(folder) / "values", Path(folder) / "statistics.parquet"
        cells = _only(write_cells(version, values.with_suffix(".cells")), of, samples)
        count = pq.read_metadata(cells).num_rows
        progress.stage("taking statistics to normalise by", total=count, unit="samples")
        work = work_of(found, [call], samples=str(cells), on_error="skip")
        on_threads(work, values, progress)
        assemble(
            connection, found, call.resolve(), digests=out, fresh=values, earlier=None, out=out
        )
        rows = pq.read_table(out)
    return {asset: _of_rows(rows, version, asset, of) for asset in assets}


def _only(cells: Path, of: tuple[str, str], samples: pa.Array | None) -> Path:
    """Return a file of cells, which now has the samples of one subset, and of some, alone."""
    wanted = [n for n, members in enumerate(subsets_of_cells(cells)) if of in members]
    table = pq.read_table(cells)
    table = table.filter(pc.is_in(table.column(CELL), value_set=pa.array(wanted, pa.int32())))
    if samples is not None:
        table = table.filter(pc.is_in(table.column("id"), value_set=samples))
    pq.write_table(table, cells)
    return cells


def _of_rows(rows: pa.Table, version: Version, asset: str, of: tuple[str, str]) -> Normalisation:
    wanted = [
        one
        for one in rows.to_pylist()
        if (one["asset"], one["split"], one["subset"]) == (asset, *of)
    ]
    if not wanted or any(one["mean"] is None for one in wanted):
        raise NotFoundError(
            f"no pixel of '{asset}' was observed in the training samples of {version.ref}",
            hint="look at its nodata value, and at which samples the split has",
        )
    mean, std, median, mad, low, high = (
        tuple(float(one[column]) for one in wanted) for column in _COLUMNS
    )
    said = json.dumps([(one["band"], *(one[name] for name in _COLUMNS)) for one in wanted])
    return Normalisation(
        bands=tuple(one["band"] for one in wanted), mean=mean, std=std, median=median, mad=mad,
        low=low, high=high, content_id=hashlib.sha256(f"{asset} {of} {said}".encode()).hexdigest(),
    )  # fmt: skip
