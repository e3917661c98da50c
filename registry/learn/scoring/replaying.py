"""A score measured again: the same bits on a processor, or what differs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from registry.errors import InvalidInputError
from registry.learn.scoring.evaluating import evaluate
from registry.learn.scoring.keeping import find
from registry.learn.scoring.protocol import code_version
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["CURVE", "FLOOR", "Replay", "compared", "replay"]

FLOOR: Final = "floor:"
"""How the names of floors begin, in place of a model's ref."""

CURVE: Final = "floor:curve:"
"""How the points of learning curves begin; they are on no board."""

_FIGURE: Final = ("head", "metric", "class", "stratum")
_NUMBERS: Final = ("value", "low", "high", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a score came to when it was measured again."""

    run: str
    """The evaluation."""

    model: str
    """What was scored."""

    ref: str
    """The version that it was scored on."""

    figures: int
    """How many figures were compared."""

    differing: pa.Table = field(repr=False)
    """Figures that are not the same to the last bit: ``head``, ``metric``, ``class``, ``stratum``,
    ``number`` (value, low, high or count), ``kept``, ``again``."""

    said: tuple[str, ...] = ()
    """What explains a difference, such as another version of the lab."""

    @property
    def same(self) -> bool:
        """Whether every figure is the same to the last bit."""
        return not self.differing.num_rows


def replay(registry: "Registry", run: str, *, progress: Progress = SILENT) -> Replay:
    """Evaluate again as an evaluation was made, and compare every figure bit by bit.

    Args:
        registry: Where it is.
        run: Name of the evaluation, or the id of one of its figures.
        progress: Told how many samples are done.

    Returns:
        What differs; on one machine's processor nothing does.

    Raises:
        InvalidInputError: It is of a floor, or of a smoke model, which holds no score.
        NotFoundError: There is no such evaluation, or its model or version is gone.
    """
    version, rows = find(registry, run)
    kept = rows.to_pylist()
    first = kept[0]
    if first["smoke"]:
        raise InvalidInputError(
            f"run {first['run']} is of a smoke model and holds no score",
            hint="replay one that does: eolab leaderboard",
        )
    if str(first["model"]).startswith(FLOOR):
        raise InvalidInputError(
            f"run {first['run']} is a floor's",
            hint=f"compute the floor again: eolab floor {version.ref}",
        )
    details = json.loads(first["details"])
    protocol, settings = details["protocol"], details["settings"]
    crop = protocol["crop"]
    found = evaluate(
        registry,
        first["model"],
        on=str(version.ref),
        split=first["subset"],
        splits=first["split"],
        by=_dimensions(kept),
        crop=None if crop is None else (crop[0], crop[1]),
        keep=False,
        device=settings["device"],
        precision=settings["precision"],
        batch_size=settings["batch_size"],
        threads=settings["threads"],
        resamples=protocol["interval"]["resamples"],
        seed=protocol["interval"]["seed"],
        progress=progress,
    )
    return compared(str(version.ref), rows, found.rows)


def compared(ref: str, kept: pa.Table, again: pa.Table) -> Replay:
    """Return which figures of two evaluations differ in any bit.

    Args:
        ref: The version that was scored on.
        kept: Rows of ``scores``.
        again: The same measured again.
    """
    before, after = _by_figure(kept), _by_figure(again)
    rows: list[dict[str, Any]] = [
        dict[str, Any](zip(_FIGURE, key, strict=True))
        | {"number": number, "kept": _of(before, key, number), "again": _of(after, key, number)}
        for key in dict.fromkeys([*before, *after])
        for number in _NUMBERS
        if _of(before, key, number) != _of(after, key, number)
    ]
    one, other = kept.to_pylist()[0], again.to_pylist()[0]
    text = pa.string()
    schema = pa.schema([
        *((name, text) for name in _FIGURE),
        ("number", text),
        ("kept", pa.float64()),
        ("again", pa.float64()),
    ])
    return Replay(
        run=one["run"],
        model=one["model"],
        ref=ref,
        figures=len(before),
        differing=pa.Table.from_pylist(rows, schema),
        said=tuple(_reasons(one, other)),
    )


def _dimensions(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    named = [row["stratum"].partition("=")[0] for row in rows if row["stratum"] is not None]
    return tuple(dict.fromkeys(named))


def _by_figure(rows: pa.Table) -> dict[tuple[str | None, ...], Mapping[str, Any]]:
    return {tuple(row[name] for name in _FIGURE): row for row in rows.to_pylist()}


def _of(
    rows: Mapping[tuple[str | None, ...], Mapping[str, Any]],
    key: tuple[str | None, ...],
    number: str,
) -> float | None:
    row = rows.get(key)
    value: float | None = None if row is None else row[number]
    return None if value is None else float(value)


def _reasons(kept: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    said = []
    then = json.loads(kept["details"])
    if then["code"] != code_version():
        said.append(
            f"it was measured by version {then['code']} of the lab; this is {code_version()}"
        )
    if kept["content_id"] != again["content_id"]:
        said.append("rows were purged from the version since")
    if kept["protocol"] != again["protocol"]:
        said.append("its protocol, such as the split, is not what it was")
    if kept["weights"] != again["weights"]:
        said.append("the model's weights are not what they were")
    if str(then["settings"].get("device", "cpu")) != "cpu":
        said.append(
            f"it ran on {then['settings']['device']}, where bits may change from run to run"
        )
    return said
