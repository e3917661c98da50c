"""Batches straight from the tables of a version, in bounded memory, the same every time.

No copy of the data is made in another format: threads read the packed rows of ``pixels`` and
unpack them, outside the interpreter lock, into a few buffers that are used again and again.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.catalog.version import Version
from registry.errors import InvalidInputError
from registry.learn.loading.batch import Batch
from registry.learn.loading.buffers import Allocator, Ring, empty, slots_for
from registry.learn.loading.columns import column
from registry.learn.loading.filling import Filler
from registry.learn.loading.fitting import Crop, Fit, crop_of
from registry.learn.loading.foresight import Foresight
from registry.learn.loading.labels import Labels
from registry.learn.loading.places import Places
from registry.learn.loading.plan import Plan
from registry.learn.loading.position import resumed, state_of
from registry.learn.loading.preparing import prepared
from registry.learn.loading.reading import reader_of
from registry.learn.loading.running import Filled, Run, Skipped
from registry.learn.loading.settings import Settings, usual_threads
from registry.learn.loading.times import times_of

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.learn.loading.contract import Contract

__all__ = ["Settings", "Skipped", "Stream", "stream"]


@dataclass(kw_only=True, eq=False)  # its position moves, and what is costly is found once
class Stream:
    """Samples of a version, batch by batch and epoch by epoch.

    Every iteration is one epoch; the next one that begins after its end is the next epoch.
    """

    version: Version
    """What is streamed."""

    ids: pa.StringArray = field(repr=False)
    """Ids of the samples, by their numbers."""

    plan: Plan
    """The order, and which part of it is this rank's."""

    places: Mapping[str, Places] = field(repr=False)
    """Where each asset lies."""

    fits: Mapping[str, Fit]
    """What each asset looks like in a batch."""

    asset_times: pa.Table = field(repr=False)
    """Times of the rows of the table of assets, as places count them."""

    labels: Labels = field(repr=False)
    """What is to be learnt of each sample."""

    crop: Crop | None
    """How samples are cut; None if they are not."""

    settings: Settings
    """How batches are made."""

    subset: tuple[str | None, str | None]
    """Which subset, and of which table of splits; None where none was asked for."""

    fold: int | None = None
    """Which fold is held out; None without cross-validation."""

    left_out: tuple[str, ...] = ()
    """Which of the chosen samples have nothing that is needed, so do not come, in words."""

    warnings: tuple[str, ...] = ()
    """What is worth knowing before training: who is left out, classes that no sample has."""

    epoch: int = 0
    """Which pass over the samples comes next, or is under way; from 0."""

    step: int = 0
    """How many batches of it were given."""

    skipped: list[Skipped] = field(default_factory=list)
    """Samples that could not be read and were replaced, in the order of batches."""

    bytes_read: int = 0
    """Bytes of packed chips that were read by iterations that have ended."""

    _start: int = 0
    _rings: list[Ring] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        """Return how many batches an epoch has, the same for every rank."""
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches of an epoch, in the order of the plan."""
        first, self._start = self._start, 0
        self.step = first
        return self._epoch(first)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers; empty if there are none."""
        return self.labels.classes

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Classes that no sample of the stream has, where tables say so."""
        return self.labels.missing

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the assets, in the order in which batches have them."""
        return tuple(self.fits)

    @cached_property
    def contract(self) -> "Contract":
        """What the numbers of its arrays mean; statistics are those of the training samples."""
        from registry.curate.features.planning import asset_facts
        from registry.learn.loading.contract import of_version

        labels = {one.name for one in asset_facts(self.version) if one.role == "labels"}
        names = [name for name in self.assets if name not in labels]
        split = self.subset[1] or "default"
        return of_version(self.version, assets=names, split=split, fold=self.fold)

    def set_epoch(self, epoch: int) -> None:
        """Begin with another pass; the next iteration is that one, from its first batch.

        Raises:
            InvalidInputError: It is below 0.
        """
        if epoch < 0:
            raise InvalidInputError(f"epoch is {epoch}", hint="give at least 0")
        self.epoch, self.step, self._start = epoch, 0, 0

    def state(self) -> dict[str, Any]:
        """Return where the stream stands, as JSON's own types: after the batch it gave last."""
        return state_of(self.plan, epoch=self.epoch, step=self.step)

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where another stream stood; batches before that are not read again.

        Args:
            state: What :meth:`state` returned.

        Raises:
            InvalidInputError: That stream had other samples, or gave them in another order.
        """
        self.epoch, self.step = resumed(self.plan, state)
        self._start = self.step

    def _epoch(self, first: int) -> Iterator[Batch]:
        epoch = self.epoch
        order = self.plan.order(epoch)
        ring = self._borrow()
        run = Run(
            self._filler,
            lambda step: self.plan.batch(order, step),
            first=first,
            last=len(self),
            epoch=epoch,
            ring=ring,
            threads=self.settings.threads,
            replace=self._other(epoch) if self.settings.on_error == "skip" else None,
        )
        ahead = Foresight(
            self._filler.reader, self.places, plan=self.plan, order=order, first=first
        )

        def made(step: int, filled: Filled) -> Batch:
            ahead.reach(step)
            self._tell(filled, epoch, step)
            return self._batch(filled, epoch, step)

        try:
            for batch in run.batches(first, made):
                self.step = batch.step + 1
                yield batch
            if self.epoch == epoch:
                self.epoch, self.step = epoch + 1, 0
        finally:
            ahead.close()
            run.close()
            self.bytes_read += run.read
            self._rings.append(ring)

    @cached_property
    def _filler(self) -> Filler:
        first = next(iter(self.places.values()))
        said = hashlib.sha256(f"{self.plan.key}\n{self.plan.seed}".encode()).digest()
        chance = int.from_bytes(said[:8])
        return Filler(
            places=self.places,
            fits=self.fits,
            reader=reader_of(first.stored.files, self._wanted()),
            crop=self.crop,
            chance=chance if self.plan.shuffle else None,
            observed=first.asset,
            names=self.ids,
        )

    def _wanted(self) -> npt.NDArray[np.int64]:
        """Return how many bytes of each data file the stream's samples have."""
        stored = [place.stored for place in self.places.values()]
        total = np.zeros(len(stored[0].files), np.int64)
        for one in stored:
            there = one.file >= 0
            np.add.at(total, one.file[there], one.length[there])
        return total

    def _borrow(self) -> Ring:
        """Return buffers that no other iteration uses; those of the last epoch are warm."""
        if self._rings:
            return self._rings.pop()
        count = min(self.plan.batch_size, self.plan.share)
        shapes = {name: ((count, *fit.shape), fit.dtype) for name, fit in self.fits.items()}
        return Ring(shapes, slots=slots_for(self.batch_bytes), allocate=self.settings.allocator)

    @property
    def batch_bytes(self) -> int:
        """Unpacked bytes of a full batch."""
        count = min(self.plan.batch_size, self.plan.share)
        return count * sum(fit.bytes for fit in self.fits.values())

    def _other(self, epoch: int) -> Any:  # noqa: ANN401 — a function of a sample and an attempt
        count = len(self.ids)

        def other(broken: int, attempt: int) -> int:
            chance = np.random.default_rng([self.plan.seed, epoch, broken, attempt])
            return int(chance.integers(count))

        return other

    def _tell(self, filled: Filled, epoch: int, step: int) -> None:
        for at, (broken, problem) in sorted(filled.problems.items()):
            self.skipped.append(
                Skipped(
                    sample=self.ids[broken].as_py(),
                    problem=problem,
                    instead=self.ids[int(filled.samples[at])].as_py(),
                    epoch=epoch,
                    step=step,
                )
            )

    def _batch(self, filled: Filled, epoch: int, step: int) -> Batch:
        samples = filled.samples
        arrays: dict[str, npt.NDArray[Any]] = {
            name: buffer[: len(samples)] for name, buffer in filled.buffers.items()
        }
        if self.settings.copy:
            arrays = {name: array.copy() for name, array in arrays.items()}
        valid, times = times_of(self.places, self.fits, self.asset_times, samples)
        return Batch(
            ids=tuple(self.ids.take(column(samples)).to_pylist()),
            arrays=arrays,
            valid=valid,
            times=times,
            boxes=self.labels.boxes(
                samples, filled.begins, None if self.crop is None else self.crop.size
            ),
            step=step,
            epoch=epoch,
            **self.labels.of(samples),
        )


def stream(  # noqa: PLR0913 — the choices that training has
    ref: str | Version,
    *,
    registry: "Registry | None" = None,
    split: str | None = None,
    splits: str | None = None,
    fold: int | None = None,
    slice: str | None = None,  # noqa: A002 — the word users write
    ids: Sequence[str] | None = None,
    assets: Sequence[str] | None = None,
    need: Sequence[str] | None = None,
    labels: str | Sequence[str] | None = "auto",
    batch_size: int = 32,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    window: int | None = None,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    frames: int | None = None,
    crop: tuple[int, int] | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    threads: int | None = None,
    copy: bool = False,
    allocator: Allocator = empty,
) -> Stream:
    """Return a stream of batches of a version, draft, branch or commit.

    Args:
        ref: Such as ``ships@v2``; or a version that was looked up.
        registry: Where the ref is looked up; the usual lake if None.
        split: Which subset: ``train``, ``validate``, ``test``, ``test:<name>``; all if None.
        splits: Which table of splits; by default ``default``, else ``official``, else the only
            one.
        fold: Which fold of a cross-validation is held out, from 0.
        slice: Id of a slice; only its samples are given.
        ids: Only these samples.
        assets: Which assets, in this order; by default all that are kept in the dataset.
        need: Samples without any of these assets are left out; by default those of ``assets`` that
            are no labels, so that no label comes without an image.
        labels: What is to be learnt: ``label``, ``labels``, ``target``, ``boxes``, several of
            them, or None; ``auto`` is what the card's task needs.
        batch_size: Samples of a batch.
        seed: What shuffling starts from.
        epoch: Which pass is first, from 0.
        shuffle: Whether samples come in a new order every epoch, and crops at random.
        window: Samples that are shuffled together; by default as many as have 512 MB packed.
        drop_last: Leave out a last batch that is not full.
        rank: Which of the processes this is, from 0.
        world: How many processes share the samples; all get equally many batches.
        frames: Time steps of series; longer ones are thinned out evenly, shorter ones padded.
        crop: Height and width in pixels of the first asset; None for whole chips.
        on_error: ``stop`` at a chip that cannot be read, or ``skip`` it for another one.
        threads: Threads that unpack; by default one a processor, at most 8. 0 for none. The
            batches are the same for any number.
        copy: Give every batch memory of its own, rather than buffers that are used again.
        allocator: What makes the buffers, such as pinned memory.

    Returns:
        Iterate over it for the batches of an epoch, again for the next.

    Raises:
        NotFoundError: There is no such ref, split, slice or asset.
        InvalidInputError: No sample is left, assets do not fit into batches, or a number is out
            of range.

    Examples:
        >>> import registry
        >>> for batch in registry.stream("ships@v2", split="train"):  # doctest: +SKIP
        ...     print(batch.arrays["s2"].shape)
        (32, 6, 256, 256)
    """
    found = prepared(
        ref,
        registry=registry,
        split=split,
        splits=splits,
        fold=fold,
        slice_id=slice,
        ids=ids,
        assets=assets,
        need=need,
        labels=labels,
        frames=frames,
        crop=crop,
        batch_size=batch_size,
        window=window,
    )
    plan = Plan(
        pieces=found.pieces,
        key=found.key,
        batch_size=batch_size,
        window=found.window,
        seed=seed,
        shuffle=shuffle,
        rank=rank,
        world=world,
        drop_last=drop_last,
    )
    made = Stream(
        version=found.version,
        ids=found.ids,
        plan=plan,
        places=found.places,
        fits=found.fits,
        labels=found.labels,
        crop=None if crop is None else crop_of(found.places, found.fits, crop),
        settings=Settings(
            threads=usual_threads() if threads is None else threads,
            on_error=on_error,
            copy=copy,
            allocator=allocator,
        ),
        subset=(split, found.splits),
        fold=fold,
        left_out=found.left_out,
        warnings=found.warnings,
        asset_times=found.rows,
    )
    slots_for(made.batch_bytes)  # refuses what no memory holds, before anything is read
    made.set_epoch(epoch)
    return made
