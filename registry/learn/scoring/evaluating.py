"""A model scored on a version: streamed once, kept as rows that say what they rest on."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from registry.learn import devices
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.scoring import intervals
from registry.learn.scoring.answering import Answer, model_answer
from registry.learn.scoring.judging import judges_of, together
from registry.learn.scoring.keeping import keep as keep_scores
from registry.learn.scoring.notes import FEW, Note, of_split, seen_before
from registry.learn.scoring.protocol import Exam, Subject, ignored_of, inputs_of, method_of
from registry.learn.scoring.rows import rows_of
from registry.learn.scoring.sizes import streams_of
from registry.learn.scoring.statistics import Statistics
from registry.learn.scoring.strata import strata_of
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.catalog.registry import Registry
    from registry.catalog.version import Version
    from registry.learn.models.shelf import Model

__all__ = [
    "Evaluation",
    "evaluate",
    "exam_of",
    "judged",
    "labels_for",
    "pinned",
    "scored",
]

_LABELS: Final[Mapping[HeadTask, str]] = {
    HeadTask.CLASSIFICATION: "label",
    HeadTask.MULTILABEL: "labels",
    HeadTask.REGRESSION: "target",
    HeadTask.DETECTION: "boxes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation came to."""

    run: str
    """Its name; ``eolab replay`` takes it."""

    model: str
    """What was scored."""

    ref: str
    """The version that it was scored on."""

    subset: str | None
    """Which of its samples."""

    samples: int
    """How many."""

    rows: pa.Table = field(repr=False)
    """Rows of ``scores``."""

    kept: Mapping[str, Statistics] = field(repr=False)
    """By head, what was kept of each sample."""

    said: tuple[str, ...] = ()
    """What was converted or assumed to give the model its inputs, in words."""

    notes: tuple[Note, ...] = ()
    """What the figures are to be read with: withdrawals, leaks, samples that the model knows."""

    smoke: bool = False
    """Whether the model only shows that everything runs, so that nothing is scored."""

    held: bool = False
    """Whether the rows are kept beside the version."""

    def value(
        self,
        metric: str,
        of_class: str | None = None,
        *,
        head: str | None = None,
        stratum: str | None = None,
    ) -> float | None:
        """Return a figure; None where there is none.

        Args:
            metric: Such as ``miou``.
            of_class: Class concerned; all if None.
            head: Which answer, where the model gives several; the first if None.
            stratum: As ``dimension=value``; all samples if None.
        """
        wanted = {
            "metric": metric,
            "class": of_class,
            "stratum": stratum,
            "head": head or next(iter(self.kept)),
        }
        for row in self.rows.to_pylist():
            if all(row[name] == one for name, one in wanted.items()):
                found: float | None = row["value"]
                return found
        return None


def evaluate(  # noqa: PLR0913 — each is a choice of whoever evaluates
    registry: "Registry",
    model: "str | Model",
    *,
    on: str,
    split: str | None = "test",
    splits: str | None = None,
    by: Sequence[str] = (),
    crop: tuple[int, int] | None = None,
    keep: bool = True,
    device: str = "cpu",
    precision: str = "32",
    batch_size: int = 32,
    threads: int | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Evaluation:
    """Score a model on a subset of a version, and keep the rows beside it.

    Args:
        registry: Where both are.
        model: Ref of the model, such as ``burnscar-unet@v1``.
        on: Ref of the version.
        split: The subset: ``test``, ``validate``, ``test:<name>``; all samples if None.
        splits: Name of the split's table; by default ``default``, else ``official``.
        by: Dimensions that figures are also given for: see
            :func:`registry.learn.scoring.strata.strata_of`.
        crop: Height and width that samples are cut to around their centre; another crop is
            another protocol. Samples are never resized.
        keep: Keep rows and statistics beside a published version.
        device: Such as ``cpu`` or ``cuda``.
        precision: Of the network: ``32`` or ``bf16``.
        batch_size: Samples at once.
        threads: Of the network on a processor; as many as it takes by itself if None.
        resamples: Draws of the bootstrap.
        seed: Of those draws.
        progress: Told how many samples are done.

    Returns:
        Rows and what they follow from. A smoke model's rows hold no value.

    Raises:
        InvalidInputError: The version has no truth for what the model answers.
        NotFoundError: There is no such model, version, split or subset.
        ContractMismatchError: The version does not give what the model reads.
        ImplausibleValuesError: Its values cannot mean what the model learned from.
        NoDeviceError: This machine has not the device.
    """
    from registry.learn.models.predicting import Predictor
    from registry.learn.models.shelf import resolve

    devices.checked(device)
    found = resolve(registry, model) if isinstance(model, str) else model
    card = found.card
    version = pinned(registry, on)
    ignored = ignored_of(card.recipe)
    judges = judges_of(version, card.heads, labels=(), ignored=ignored)
    read = tuple(one.asset for one in card.contract.inputs)
    truths = tuple(judge.asset for judge in judges.values() if judge.asset)
    from registry.learn.loading.contract import of_version

    there = [one for one in read if one in version.spec.assets] or None
    given = of_version(version, assets=there, registry=registry, compute_missing=False)
    inputs = tuple(one.asset for one in given.inputs)
    assets = tuple(dict.fromkeys([*inputs, *truths]))
    exam = exam_of(
        registry, version, split=split, splits=splits, crop=crop, resamples=resamples, seed=seed,
        need=inputs,
    )  # fmt: skip
    exam = replace(exam, ignored=ignored)
    with _threads(threads) as used:
        predictor = Predictor(
            found, given=given, device=device, precision=precision, dataset=version.dataset
        )
        kept = judged(
            registry, exam, card.heads, model_answer(predictor, truths, version.dataset),
            assets=assets, batch_size=batch_size, ignored=ignored, progress=progress,
        )  # fmt: skip
    subject = Subject(
        ref=found.ref,
        weights=card.weights_sha256,
        method=method_of(card),
        seed=card.seed,
        inputs=inputs_of(card.contract),
        said=(*predictor.said, *exam.left_out),
        settings={
            "batch_size": batch_size, "device": device, "precision": precision, "threads": used,
        },
        notes=tuple(asdict(one) for one in seen_before(registry, exam, card.lineage)),
        smoke=card.smoke,
    )  # fmt: skip
    return scored(registry, exam, subject, card.heads, kept, by=by, keep=keep)


def exam_of(
    registry: "Registry",
    version: "Version",
    *,
    split: str | None = "test",
    splits: str | None = None,
    crop: tuple[int, int] | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
    need: tuple[str, ...] | None = None,
) -> Exam:
    """Return what models are scored on; the arguments are those of :func:`evaluate`.

    Samples without any asset of ``need`` are left out.
    """
    from registry.catalog.splits import in_lab_words
    from registry.learn.loading.choosing import choose
    from registry.learn.loading.preparing import having

    chosen = choose(version, split=split, splits=splits, registry=registry)
    chosen, left_out = (chosen, ()) if need is None else having(version, chosen, need)
    return Exam(
        version=version,
        ids=tuple(chosen.ids.to_pylist()),
        split=chosen.splits,
        subset=None if split is None else in_lab_words(split),
        need=need,
        left_out=left_out,
        crop=crop,
        resamples=resamples,
        seed=seed,
    )


def pinned(registry: "Registry", ref: str) -> "Version":
    """Return what a ref names, as the published version where its commit is one."""
    from registry.query.sources import resolved

    found = resolved(registry, ref)
    return found if found.tag is None else registry.resolve(f"{found.dataset}@{found.tag}")


def labels_for(heads: Iterable[Head]) -> tuple[str, ...]:
    """Return what a stream has to give beside the assets, for the truth of some heads."""
    return tuple(dict.fromkeys(_LABELS.get(one.task, "mask") for one in heads))


def judged(
    registry: "Registry",
    exam: Exam,
    heads: Sequence[Head],
    answer: Answer,
    *,
    assets: Sequence[str],
    batch_size: int = 32,
    ignored: Mapping[str, int] | None = None,
    progress: Progress = SILENT,
) -> dict[str, Statistics]:
    """Return what is kept of each sample of an exam.

    Args:
        registry: Where the version is.
        exam: What is scored on.
        heads: The answers that are scored.
        answer: Gives them, batch by batch.
        assets: That it reads, and that say the truth.
        batch_size: Samples at once.
        ignored: By head, a value of its mask that says nothing.
        progress: Told how many samples are done.

    Returns:
        By head.
    """
    parts: dict[str, list[Statistics]] = {head.name: [] for head in heads}
    progress.stage("scoring", total=len(exam.ids), unit="samples")
    streams = streams_of(
        registry, exam, assets=assets, labels=labels_for(heads), batch_size=batch_size
    )
    for batches in streams:
        judges = judges_of(
            exam.version, heads, labels=tuple(batches.classes), ignored=ignored or {}
        )
        for batch in batches:
            answers = answer(batch)
            for name, judge in judges.items():
                if not judge.asset or judge.asset in batch.arrays:  # else none of a size has one
                    parts[name].append(judge.kept(batch, answers[name]))
            progress.advance(len(batch))
    return {
        head.name: together(exam.version, head, parts[head.name], subset=exam.subset)
        for head in heads
    }


def scored(
    registry: "Registry",
    exam: Exam,
    subject: Subject,
    heads: Sequence[Head],
    kept: Mapping[str, Statistics],
    *,
    by: Sequence[str] = (),
    keep: bool = True,
) -> Evaluation:
    """Return the figures of what was kept of each sample, and keep them beside the version.

    Args:
        registry: Where the version is.
        exam: What was scored on.
        subject: What was scored.
        heads: Its answers.
        kept: By head, what was kept of each sample.
        by: Dimensions that figures are also given for.
        keep: Keep rows and statistics.
    """
    version = exam.version
    told = strata_of(version, exam.ids, by)
    strata = {name: dict(zip(exam.ids, said, strict=True)) for name, said in told.items()}
    groups = groups_of(version)
    clusters = (
        intervals.clusters_of([groups.get(one) for one in part.ids]) for part in kept.values()
    )
    drawn = max((len(set(one.tolist())) for one in clusters), default=0)
    if (few := intervals.few_groups(drawn)) is not None and not subject.smoke:
        note = asdict(Note(severity="info", kind=FEW, message=few))
        subject = replace(subject, notes=(*subject.notes, note))
    rows = rows_of(
        exam, subject, {one.name: one for one in heads}, kept, groups=groups, strata=strata
    )  # fmt: skip
    run = rows["run"][0].as_py()
    if keep:
        files = {} if subject.smoke else {f"{run}/{name}": one for name, one in kept.items()}
        keep_scores(registry, version, rows, files)
    return Evaluation(
        run=run,
        model=subject.ref,
        ref=str(version.ref),
        subset=exam.subset,
        samples=max(len(one) for one in kept.values()),
        rows=rows,
        kept=kept,
        said=subject.said,
        notes=(
            *(Note(**one) for one in subject.notes),
            *of_split(version, exam.split, exam.subset),
        ),
        smoke=subject.smoke,
        held=keep,
    )


def groups_of(version: "Version") -> dict[str, str | None]:
    """Return the group of each sample of a version; None for those that have none."""
    rows = version.table("samples", ["id", "group"])
    return dict(zip(rows["id"].to_pylist(), rows["group"].to_pylist(), strict=True))


@contextmanager
def _threads(wanted: int | None) -> "Iterator[int]":
    """Let a network use so many threads meanwhile.

    Yields:
        How many it uses.
    """
    import torch

    before = torch.get_num_threads()
    if wanted is not None:
        torch.set_num_threads(wanted)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
