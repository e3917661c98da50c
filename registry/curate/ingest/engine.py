"""A folder, archive or STAC file becomes samples in a draft.

Files are read in limited processes into a journal; only when all are read is anything written to
the lake. What the source says is committed on its own branch ``source/<name>`` and merged into
the draft by row, so that a corrected source ingested again keeps what people fixed meanwhile.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import AssetKind, Plan, Severity, SourceFinding, SourceOptions
from registry.curate.formats.detection import detect
from registry.curate.formats.listing import FileListing, open_listing
from registry.curate.formats.raster import RasterJob, RasterPool
from registry.curate.ingest.card import heeding, spec_of, with_card
from registry.curate.ingest.findings import failures_of, findings_table, raster_findings
from registry.curate.ingest.journal import Journal, open_journal
from registry.curate.ingest.landing import Destination, Landing, land
from registry.curate.ingest.pixels import stream_pixels
from registry.curate.ingest.planned import check_plan, with_folder_split, without_samples
from registry.curate.ingest.readme import read_card
from registry.curate.ingest.rows import build_rows
from registry.curate.ingest.series import series_findings, without_absent
from registry.errors import InvalidInputError, RejectedError
from registry.lake.names import check_repository
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["IngestFailedError", "IngestResult", "ingest", "result_of", "source_branch"]

_SHOWN: Final = 5
_MANY: Final = 200
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]+")


class IngestFailedError(RejectedError):
    """Some files of a source cannot be read, so nothing of it was taken."""

    code: ClassVar[str] = "ingest-failed"

    def __init__(self, problem: str, *, hint: str, failures: pa.Table | None = None) -> None:
        super().__init__(problem, hint=hint)
        self.failures = failures
        """Findings, one row a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What an ingest did."""

    dataset: str
    """The dataset."""

    branch: str
    """The draft that the source was merged into."""

    source: str
    """The branch that holds what the source said."""

    commit: str
    """Where the draft stands now."""

    format: str
    """What the source was taken for."""

    added: int
    """Samples that the source did not have before."""

    changed: int
    """Samples that it had before, but otherwise."""

    unchanged: int
    """Samples that it had before, just so."""

    removed: int
    """Samples that it had before and has no longer."""

    skipped: pa.Table
    """Findings on files and samples that were left out."""

    warnings: pa.Table
    """Findings on what was taken but looks wrong."""

    def to_text(self) -> str:
        """Return it for people."""
        counts = ", ".join(
            f"{getattr(self, what):,} {what}"
            for what in ("added", "changed", "unchanged", "removed")
            if getattr(self, what) or what == "added"
        )
        lines = [f"{self.dataset}@{self.branch}: {counts} samples ({self.format})"]
        for name, findings in (("left out", self.skipped), ("to look at", self.warnings)):
            kinds = findings.group_by("check").aggregate([("check", "count")])
            for row in kinds.sort_by([("check_count", "descending")]).to_pylist():
                first = findings.filter(pc.equal(findings["check"], row["check"]))["message"][0]
                count = row["check_count"]
                times = f"{count:,} times {row['check']}, first" if count > 1 else row["check"]
                lines.append(f"  {name}: {times}: {first}")
        return "\n".join(lines)


def ingest(  # noqa: PLR0913 — what a user may say
    registry: "Registry",
    source: str | Path,
    *,
    into: str,
    options: SourceOptions | None = None,
    on_error: str = "stop",
    branch: str | None = None,
    name: str | None = None,
    workers: int | None = None,
    message: str | None = None,
    progress: Progress = SILENT,
) -> IngestResult:
    """Bring a source into a draft of a dataset, which is made if there is none.

    Files that were read before, by this call or by one that was killed, are not read again.
    Memory stays below 1 GB whatever the source's size.

    Args:
        registry: Where to.
        source: A folder, an archive or a file.
        into: The dataset's name.
        options: What the files do not say.
        on_error: ``stop`` takes nothing if a file cannot be read; ``skip`` leaves out its sample
            and reports it.
        branch: Branch to merge into, made from ``main`` if there is none; the caller's draft by
            default.
        name: The source's name, by default that of the folder or archive; a source of the same
            name is taken for the same source, corrected.
        workers: How many processes read; one a processor by default.
        message: Why; by default what was done.
        progress: Told what happens.

    Returns:
        What was done; the same source again does nothing and makes no commit.

    Raises:
        NotFoundError: There is nothing at the path.
        InvalidInputError: The format cannot be told, or an option can never be right.
        IngestFailedError: Files cannot be read; its ``failures`` lists them.
        RejectedError: The source as a whole is hostile, damaged or empty.
        ConflictError: A different source of that name is there; the source and the draft
            changed the same; or it is being ingested already.
    """
    if on_error not in {"stop", "skip"}:
        raise InvalidInputError(f"on_error is {on_error!r}", hint="use 'stop' or 'skip'")
    check_repository(into)
    options = options or SourceOptions()
    progress.stage("listing", total=None, unit="files")
    listing = open_listing(source)
    own = source_branch(name or listing.name)
    with (
        open_journal(registry.lake.address, dataset=into, source=str(listing.root)) as journal,
        RasterPool(workers=workers) as pool,
    ):
        if len(listing.files) >= _MANY and journal.is_new:
            pool.start()
        card, unread = read_card(listing, into)
        detection = detect(listing, options)
        plan = with_card(detection.format.plan(listing, heeding(options, card)), card)
        plan = with_folder_split(plan)
        check_plan(plan)
        jobs = _jobs(plan, listing)
        known = _known_rasters(journal, _stored_pixels(registry, into, own), jobs)
        rasters = _read(pool, jobs, known, into=journal.parts, progress=progress)
        plan, rasters = without_absent(plan, rasters)
        series = list(series_findings(rasters, plan.assets))
        failures = [*_errors([*plan.findings, *series]), *failures_of(rasters, plan.assets)]
        if on_error == "stop":
            _refuse(failures)
        plan = without_samples(plan, {failure.sample for failure in failures if failure.sample})
        if not len(plan.samples):
            _refuse(failures, all_of_them=True)
        rasters = rasters.filter(pc.is_in(rasters["file"], plan.assets["file"].unique()))
        warnings = [*unread, *_milder([*plan.findings, *series])]
        warnings += raster_findings(rasters, plan.assets)
        progress.stage("writing", total=None, unit="samples")
        landing = land(
            registry,
            spec_of(into, plan, options, rasters, card=card),
            build_rows(plan, rasters, options),
            findings=findings_table([*failures, *warnings]),
            pixels=lambda wanted: stream_pixels(wanted, journal.parts),
            to=Destination(source=own, named=name is not None, branch=branch, message=message),
        )
        journal.record(rasters)
    return result_of(into, detection.format.name, landing, failures=failures, warnings=warnings)


def _stored_pixels(registry: "Registry", dataset: str, own: str) -> pa.Array:
    """Return the digests of the pixels that the source's branch holds already."""
    if dataset in registry.names() and own in registry.branches(dataset):
        version = registry.resolve(f"{dataset}@{own}")
        if version.count("pixels"):
            return version.table("pixels", columns=["sha256"])["sha256"].combine_chunks()
    return pa.array([], pa.binary())


def _jobs(plan: Plan, listing: FileListing) -> list[RasterJob]:
    """Return what to read for a plan, each file or stack of files once."""
    by_file = plan.assets.filter(pc.equal(plan.assets["kind"], AssetKind.RASTER.value))
    files = by_file["file"].to_pylist()
    stacks = (
        by_file["stack"].to_pylist() if "stack" in by_file.column_names else [None] * len(files)
    )
    return [
        RasterJob(
            file=file,
            span=listing.span(file),
            stack=tuple((path, listing.span(path)) for path in stack or ()),
        )
        for file, stack in dict(zip(files, stacks, strict=True)).items()
    ]


def _known_rasters(journal: Journal, stored: pa.Array, jobs: list[RasterJob]) -> pa.Table:
    """Return rows of ``RASTERS`` for the files that were read and are as they were, each once."""
    recorded = journal.recorded()
    held = pc.is_in(recorded["sha256"].cast(pa.binary()), value_set=stored)
    rows = pa.concat_tables([journal.read_before(), recorded.filter(held)])
    stamps = pa.table({
        "file": pa.array([job.file for job in jobs], pa.string()),
        "stamp": pa.array([job.stamp for job in jobs], pa.string()),
    })
    keys = [
        pc.binary_join_element_wise(each["file"], each["stamp"], "\0") for each in (rows, stamps)
    ]
    places = pc.index_in(keys[1], value_set=keys[0].combine_chunks())
    return rows.take(places.drop_null())


def _read(
    pool: RasterPool, jobs: list[RasterJob], known: pa.Table, *, into: Path, progress: Progress
) -> pa.Table:
    """Return rows of ``RASTERS`` for all that is to be read, reading what is not known."""
    done = set(known["file"].to_pylist())
    left = [job for job in jobs if job.file not in done]
    progress.stage("reading", total=len(jobs), unit="files")
    progress.advance(len(done))
    if not left:
        return known
    tables = [known]
    for rows in pool.read(left, into=into):
        tables.append(rows)
        progress.advance(len(rows))
    return pa.concat_tables(tables)


def _errors(findings: Iterable[SourceFinding]) -> list[SourceFinding]:
    return [finding for finding in findings if finding.severity is Severity.ERROR]


def _milder(findings: Iterable[SourceFinding]) -> list[SourceFinding]:
    return [finding for finding in findings if finding.severity is not Severity.ERROR]


def _refuse(failures: list[SourceFinding], *, all_of_them: bool = False) -> None:
    if not failures:
        return
    shown = "; ".join(failure.message for failure in failures[:_SHOWN])
    more = f"; and {len(failures) - _SHOWN:,} more" if len(failures) > _SHOWN else ""
    what = "nothing of the source can be taken" if all_of_them else "nothing was taken"
    hint = "mend them" if all_of_them else "mend them, or leave them out with --on-error skip"
    raise IngestFailedError(
        f"{what}: {shown}{more}"
        if len(failures) == 1
        else f"{what}: {len(failures):,} problems: {shown}{more}",
        hint=hint,
        failures=findings_table(failures),
    )


def source_branch(name: str) -> str:
    """Return the branch that holds what a source of this name says.

    Examples:
        >>> source_branch("EuroSAT (v2)")
        'source/EuroSAT-v2'
    """
    return f"source/{_NOT_IN_NAMES.sub('-', name).strip('-')[:80] or 'source'}"


def result_of(
    dataset: str,
    format_name: str,
    landing: Landing,
    *,
    failures: Iterable[SourceFinding] = (),
    warnings: Iterable[SourceFinding] = (),
) -> IngestResult:
    """Return what an ingest did."""
    return IngestResult(
        dataset=dataset,
        branch=landing.branch,
        source=landing.source,
        commit=landing.commit,
        format=format_name,
        added=landing.written.added,
        changed=landing.written.changed,
        unchanged=landing.written.unchanged,
        removed=landing.written.removed,
        skipped=findings_table(failures),
        warnings=findings_table(warnings),
    )
