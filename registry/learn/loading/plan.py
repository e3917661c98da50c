"""In which order samples are streamed: shuffled, yet read in long stretches; pure arithmetic.

Samples are numbered in the order in which they lie on disk, which follows a Hilbert curve, so
neighbours in number are neighbours on the ground. A *piece* is a stretch of a row group. An epoch
shuffles the pieces, gives each rank a run of them, and shuffles each run in windows of many pieces
so that every piece is spread evenly over its window: a batch holds at most about one sample of a
piece, and pieces are drawn at random, so it mixes as a full shuffle does.

References:
    Salmon, J. et al. (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11 (Philox).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError

__all__ = ["PIECES", "WINDOW_BYTES", "Plan", "pieces_of", "window_of"]

Numbers = npt.NDArray[np.int64]

WINDOW_BYTES: Final = 512 * 2**20
"""Packed bytes of a window, unless batches need a larger one."""

PIECES: Final = 256
"""Pieces that a window has at least, where there are as many."""

_BATCHES: Final = 16  # batches that a window has at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The order of an epoch, for one rank; the same wherever and however often it is made."""

    pieces: Numbers = field(repr=False)
    """Of each sample, by its number: which piece it lies in; never falls."""

    key: str
    """What is shuffled: a digest of the samples, so that other samples come in another order."""

    batch_size: int
    """Samples of a batch, at least 1."""

    window: int
    """Samples that are shuffled together, at least 1."""

    seed: int = 0
    """What chance starts from, at least 0."""

    shuffle: bool = True
    """Whether there is any; otherwise samples come in the order of the disk."""

    rank: int = 0
    """Which of the processes this is, from 0."""

    world: int = 1
    """How many processes share the samples."""

    drop_last: bool = False
    """Whether a last batch that is not full is left out, and samples that ranks cannot share."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "window", "world"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is {getattr(self, name)}", hint="give at least 1")
        if not 0 <= self.rank < self.world:
            raise InvalidInputError(
                f"rank {self.rank} of {self.world}", hint=f"count ranks from 0 to {self.world - 1}"
            )
        if self.seed < 0:
            raise InvalidInputError(f"seed is {self.seed}", hint="give at least 0")
        if not len(self):
            raise InvalidInputError(
                f"{len(self.pieces):,} samples do not fill one batch of {self.batch_size} for each "
                f"of {self.world} ranks",
                hint="use a smaller batch_size, fewer ranks, or drop_last=False",
            )

    @property
    def share(self) -> int:
        """How many samples each rank has: the same for all, so some come twice or never."""
        count = len(self.pieces)
        return count // self.world if self.drop_last else -(-count // self.world)

    def __len__(self) -> int:
        """Return how many batches each rank has."""
        full, rest = divmod(self.share, self.batch_size)
        return full + bool(rest and not self.drop_last)

    def order(self, epoch: int = 0) -> Numbers:
        """Return the numbers of this rank's samples in the order of an epoch.

        Args:
            epoch: Which pass, from 0.

        Returns:
            Shape ``(share,)``.

        Examples:
            >>> plan = Plan(pieces=np.arange(6) // 2, key="", batch_size=2, window=6, seed=1)
            >>> sorted(plan.order().tolist()), bool((plan.order(1) == plan.order(1)).all())
            ([0, 1, 2, 3, 4, 5], True)
        """
        count = len(self.pieces)
        mine = (self.rank * self.share + np.arange(self.share)) % count
        if not self.shuffle:
            return mine
        chance = self._chance(epoch)
        at = chance.permutation(int(self.pieces[-1]) + 1)
        within, spread = chance.random(count), chance.random(count)
        run = np.argsort(at[self.pieces], kind="stable")[mine]
        window = np.arange(len(run)) * self.windows // len(run)
        return run[_mixed(window, self.pieces[run], within[run], spread[run])]

    @property
    def windows(self) -> int:
        """How many windows this rank's samples are shuffled in."""
        return max(1, round(self.share / self.window))

    def window_at(self, step: int) -> int:
        """Return which window a batch begins in, from 0."""
        return min(step * self.batch_size, self.share - 1) * self.windows // self.share

    def of_window(self, order: Numbers, window: int) -> Numbers:
        """Return the numbers of the samples of one window.

        Args:
            order: What :meth:`order` returned.
            window: Which, from 0.
        """
        begin, end = (-(-at * self.share // self.windows) for at in (window, window + 1))
        return order[begin:end]

    def batch(self, order: Numbers, step: int) -> Numbers:
        """Return the numbers of one batch's samples.

        Args:
            order: What :meth:`order` returned.
            step: Which batch, from 0.
        """
        return order[step * self.batch_size : (step + 1) * self.batch_size]

    def _chance(self, epoch: int) -> np.random.Generator:
        said = f"{self.key}\n{self.seed}\n{epoch}".encode()
        key = np.frombuffer(hashlib.sha256(said).digest()[:16], "<u8")
        return np.random.Generator(np.random.Philox(key=key))


def _mixed(
    window: Numbers,
    piece: Numbers,
    within: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
) -> Numbers:
    """Return places in an order that keeps windows apart and spreads each piece over its own."""
    ranked = np.lexsort((within, piece, window))
    new = np.flatnonzero(
        (np.diff(piece[ranked], prepend=-1) != 0) | (np.diff(window[ranked], prepend=-1) != 0)
    )
    sizes = np.diff(new, append=len(ranked))
    place = np.arange(len(ranked)) - np.repeat(new, sizes)
    share = np.empty(len(ranked))
    share[ranked] = (place + spread[ranked]) / np.repeat(sizes, sizes)
    return np.lexsort((share, window))


def pieces_of(*, groups: Numbers, sizes: Numbers, piece_bytes: float) -> Numbers:
    """Return the piece of each sample: a stretch of one row group of about so many bytes.

    Args:
        groups: Row group of each sample, in the order of the disk, numbered over all files.
        sizes: Packed bytes of each.
        piece_bytes: After how many a piece ends, above 0.

    Examples:
        >>> groups, sizes = np.array([0, 0, 0, 1, 1]), np.full(5, 10)
        >>> pieces_of(groups=groups, sizes=sizes, piece_bytes=20).tolist()
        [0, 0, 1, 2, 2]
    """
    before = np.cumsum(sizes) - sizes
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(starts, append=len(groups))
    inside = before - np.repeat(before[starts], lengths)
    part = (inside // max(1, int(piece_bytes))).astype(np.int64)
    new = (np.diff(groups, prepend=-1) != 0) | (np.diff(part, prepend=-1) != 0)
    return np.cumsum(new) - 1


def window_of(*, sizes: Numbers, batch_size: int, window: int | None = None) -> int:
    """Return how many samples are shuffled together.

    Args:
        sizes: Packed bytes of each sample.
        batch_size: Samples of a batch.
        window: What was asked for; None for as many as have ``WINDOW_BYTES``.
    """
    if window is not None:
        return window
    mean = max(1.0, float(sizes.mean()))
    return min(len(sizes), max(_BATCHES * batch_size, PIECES, int(WINDOW_BYTES / mean)))
