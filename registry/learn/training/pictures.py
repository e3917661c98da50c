"""Pictures of a run, for people: curves, confusion, answers beside the truth."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.colours import colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from registry.learn.training.running import Run

__all__ = ["draw_answers", "draw_confusion", "draw_curves"]

_DOTS: Final = 110  # an inch
_SHOWN: Final = 4  # samples
_MOST_NAMED: Final = 20  # classes that still fit beside a matrix
_LOOKED_AT: Final = 16  # batches, in search of samples with something to see
_ID: Final = 34  # letters above a picture
_DENSE: Final = {HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.PIXEL_REGRESSION}
_INK: Final = "#1f4e79"
_OTHER: Final = "#c45a1b"
_SMOOTH: Final = 25  # parts of a run over which its training loss is averaged
_LEGIBLE: Final = 12  # classes whose cells are written out
_DARK: Final = 0.5
_WIDE: Final = 30  # from the lowest loss to the highest, beyond which its axis is logarithmic

Image = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A sample that is drawn."""

    batch: Mapping[str, Any]
    """What it came with."""

    number: int
    """Its place there, from 0."""


def draw_curves(run: "Run") -> bytes | None:
    """Return loss and figures over the steps.

    Args:
        run: What ran.

    Returns:
        A PNG; None where nothing was recorded.
    """
    rows = run.fitted.history
    if not rows:
        return None
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    steps = np.array([row[0] for row in rows if row[2:4] == ("train", "loss")])
    losses = np.array([row[4] for row in rows if row[2:4] == ("train", "loss")])
    left.plot(steps, losses, color=_INK, alpha=0.25, linewidth=0.8)
    left.plot(steps, _smoothed(losses), color=_INK, label="train")
    held = [(row[0], row[4]) for row in rows if row[2:4] == ("validate", "loss")]
    if held:
        left.plot(*zip(*held, strict=True), color=_OTHER, marker="o", ms=3, label="validate")
    levels = [*losses, *(value for _, value in held)]
    if min(levels) > 0 and max(levels) > _WIDE * min(levels):
        left.set_yscale("log")
    left.set(title="loss", xlabel="step")
    left.legend(frameon=False)
    names = dict.fromkeys(row[3] for row in rows if row[2] == "validate" and row[3] != "loss")
    plain = [name for name in names if not _detailed(run, name)]
    for name in plain:
        points = [(row[0], row[4]) for row in rows if row[2:4] == ("validate", name)]
        right.plot(*zip(*points, strict=True), marker="o", ms=3, label=name)
    if not plain:
        rates = [(row[0], row[4]) for row in rows if row[3] == "lr"]
        right.plot(*zip(*rates, strict=True), color=_INK, label="learning rate")
    right.axvline(run.fitted.best_step, color="0.6", linewidth=1, linestyle=":", label="kept")
    right.set(title="validation" if plain else "learning rate", xlabel="step")
    right.legend(frameon=False, fontsize="small")
    figure.suptitle(f"{run.card.name}, seed {run.card.seed}{', smoke' if run.card.smoke else ''}")
    return _png(figure)


def draw_confusion(run: "Run") -> bytes | None:
    """Return how often each class was taken for each.

    Args:
        run: What ran.

    Returns:
        A PNG, a panel a head; None where there are no classes.
    """
    from matplotlib.ticker import PercentFormatter

    heads = [head for head in run.card.heads if head.name in run.fitted.confusion]
    if not heads:
        return None
    figure = _figure(5.2 * len(heads), 4.6)
    panels = figure.subplots(1, len(heads), squeeze=False)[0]
    for head, panel in zip(heads, panels, strict=True):
        counts = np.array(run.fitted.confusion[head.name], np.float64)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        drawn = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        places = range(len(head.classes))
        if len(head.classes) <= _MOST_NAMED:
            panel.set_xticks(places, head.classes, rotation=45, ha="right", fontsize="small")
            panel.set_yticks(places, head.classes, fontsize="small")
        if len(head.classes) <= _LEGIBLE:
            for row in places:
                for column in places:
                    ink = "white" if shares[row, column] > _DARK else "black"
                    panel.text(column, row, f"{shares[row, column]:.0%}", ha="center",
                               va="center", color=ink, fontsize="x-small")  # fmt: skip
        panel.set(title=f"{head.name}: share of each true class", xlabel="answer", ylabel="truth")
        figure.colorbar(drawn, ax=panel, shrink=0.7, format=PercentFormatter(1))
    return _png(figure)


def draw_answers(run: "Run") -> bytes | None:
    """Return some held-out samples with the truth and what the network answers.

    Args:
        run: What ran.

    Returns:
        A PNG, a row a sample; None in pretraining.
    """
    import torch

    from registry.learn.training.batches import inputs_of, truth_of

    if run.material.held is None:
        return None
    shown = _chosen(run)
    if not shown:
        return None
    run.network.eval()
    batches = {id(one.batch): one.batch for one in shown}
    with torch.no_grad():
        answered = {
            key: run.network(inputs_of(run.card.contract, batch)) for key, batch in batches.items()
        }
    dense = [head for head in run.card.heads if head.task in _DENSE]
    figure = _figure(2.6 * (1 + 2 * len(dense)), 2.7 * len(shown))
    panels = figure.subplots(len(shown), 1 + 2 * len(dense), squeeze=False)
    for one, row in zip(shown, panels, strict=True):
        answers = answered[id(one.batch)]
        truths = [_plane(truth_of(head, one.batch)[one.number].numpy()) for head in dense]
        labelled = [truth for head, truth in zip(dense, truths, strict=True) if head.classes]
        row[0].imshow(_seen(run, one.batch["image"][one.number].numpy(), labelled))
        said = _words(run.card.heads, one.batch, answers, one.number)
        row[0].set_title(said or _shortened(str(one.batch["id"][one.number])), fontsize="small")
        _boxes(row[0], run.card.heads, one.batch, answers, one.number)
        for place, (head, truth) in enumerate(zip(dense, truths, strict=True)):
            given = _answer(head, answers[head.name][one.number].float().numpy())
            _map(row[1 + 2 * place], head, truth, f"{head.name}: truth", truth)
            _map(row[2 + 2 * place], head, given, f"{head.name}: answer", truth)
    for panel in panels.ravel():
        panel.set_axis_off()
    _legend(figure, dense)
    return _png(figure)


def _chosen(run: "Run") -> Sequence[_Shown]:
    """Return the first held-out samples with something to see, then others if those are few."""
    telling: list[_Shown] = []
    others: list[_Shown] = []
    for batch in islice(run.material.held or (), _LOOKED_AT):
        for number in range(len(batch["image"])):
            found = telling if _tells(run.card.heads, batch, number) else others
            if len(found) < _SHOWN:
                found.append(_Shown(batch=batch, number=number))
        if len(telling) == _SHOWN:
            break
    return (telling + others)[:_SHOWN]


def _tells(heads: Sequence[Head], batch: Mapping[str, Any], number: int) -> bool:
    """Return whether a sample's truth has two classes, or an object, where it could have."""
    from registry.learn.training.batches import truth_of

    for head in heads:
        if head.task is HeadTask.DETECTION:
            return len(batch["bbox_xyxy"][number]) > 0
        if head.task in _DENSE and head.classes:
            truth = truth_of(head, batch)[number].numpy()
            return len(np.unique(truth[truth >= 0])) > 1
    return True


def _shortened(name: str) -> str:
    """Return a name that fits above a picture, with its beginning and its end."""
    half = _ID // 2
    return name if len(name) <= _ID else f"{name[: half - 1]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def _detailed(run: "Run", name: str) -> bool:
    parts = name.split("/")
    several = len(run.card.heads) > 1
    return len(parts) > (2 if several else 1)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    data = io.BytesIO()
    # Without the library's version, the same run gives the same bytes.
    figure.savefig(data, format="png", dpi=_DOTS, metadata={"Software": None})
    return data.getvalue()


def _smoothed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    width = max(1, len(values) // _SMOOTH)
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def _seen(run: "Run", image: npt.NDArray[Any], truths: Sequence[npt.NDArray[Any]]) -> Image:
    """Return three bands of an image as colours: red, green and blue where they are known.

    Pixels without a truth, such as clouds, do not say what is black and what is white.
    """
    if image.ndim == 4:  # noqa: PLR2004 — time, band, y, x: the first step
        image = image[0]
    letters = [band.common for band in run.card.contract.inputs[0].bands]
    wanted = [letters.index(one) for one in "RGB" if one in letters]
    few = [0, min(1, len(image) - 1), min(2, len(image) - 1)]
    places = wanted if len(wanted) == 3 else few  # noqa: PLR2004 — all three
    chosen = image[places].astype(np.float32)
    known = np.ones(chosen.shape[1:], bool)
    for truth in truths:
        if truth.shape == known.shape and (truth >= 0).any():
            known &= truth >= 0
    pixels = chosen[:, known] if known.any() else chosen.reshape(len(chosen), -1)
    low, high = np.percentile(pixels, [2, 98], axis=1)[..., None, None]
    stretched = (chosen - low) / np.maximum(high - low, 1e-6)
    picture: Image = np.clip(stretched, 0, 1).transpose(1, 2, 0)  # (y, x, colour)
    return picture


def _plane(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values[0] if values.ndim == 3 else values  # noqa: PLR2004 — band, y, x


def _answer(head: Head, given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if head.task is HeadTask.PIXEL_REGRESSION:
        quantity: npt.NDArray[Any] = given[0] * head.std + head.mean
        return quantity
    found: npt.NDArray[Any] = given.argmax(0)
    return found


def _map(
    panel: "Axes", head: Head, values: npt.NDArray[Any], title: str, truth: npt.NDArray[Any]
) -> None:
    panel.set_title(title, fontsize="small")
    if head.task is HeadTask.PIXEL_REGRESSION:
        known = truth[np.isfinite(truth)]
        low, high = (known.min(), known.max()) if known.size else (0, 1)
        panel.imshow(values, cmap="viridis", vmin=low, vmax=high)
        return
    palette = np.array([*colours(len(head.classes)), (255, 255, 255)], np.uint8)
    known = (values >= 0) & (values < len(head.classes))
    panel.imshow(palette[np.where(known, values, -1).astype(np.int64)], interpolation="nearest")


def _legend(figure: "Figure", dense: list[Head]) -> None:
    from matplotlib.patches import Patch

    classes = next((head.classes for head in dense if head.classes), ())
    if classes and len(classes) <= _MOST_NAMED:
        shown = zip(classes, colours(len(classes)), strict=True)
        figure.legend(
            handles=[
                Patch(facecolor=(red / 255, green / 255, blue / 255), label=name)
                for name, (red, green, blue) in shown
            ],
            loc="outside lower center", ncols=4, frameon=False, fontsize="small",
        )  # fmt: skip


def _words(
    heads: tuple[Head, ...], batch: Mapping[str, Any], answers: Mapping[str, Any], number: int
) -> str:
    from registry.learn.training.batches import truth_of

    for head in heads:
        if head.task is HeadTask.CLASSIFICATION:
            truth = int(truth_of(head, batch)[number])
            said = head.classes[int(answers[head.name][number].argmax())]
            return f"{head.classes[truth] if truth >= 0 else '?'} → {said}"
        if head.task is HeadTask.REGRESSION:
            wanted = float(truth_of(head, batch)[number])
            given = float(answers[head.name][number]) * head.std + head.mean
            return f"{wanted:.3g} → {given:.3g} {head.unit or ''}"
    return ""


def _boxes(
    panel: "Axes", heads: tuple[Head, ...], batch: Mapping[str, Any], answers: Mapping[str, Any],
    number: int,
) -> None:  # fmt: skip
    from matplotlib.patches import Rectangle

    head = next((one for one in heads if one.task is HeadTask.DETECTION), None)
    if head is None:
        return
    found = answers[head.name][number]
    sure = found["boxes"][found["scores"] >= _DARK]
    for boxes, colour in ((batch["bbox_xyxy"][number], "white"), (sure, _OTHER)):
        for left, top, right, bottom in boxes.tolist():
            panel.add_patch(
                Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False,
                          edgecolor=colour, linewidth=1.2)
            )  # fmt: skip
