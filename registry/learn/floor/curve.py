"""A learning curve: what a share of the training samples would have reached."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from registry.learn.scoring.metrics import METRICS

__all__ = ["SHARES", "Point", "draw_curve"]

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Of the training samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One share of the training samples."""

    share: float
    """In (0, 1]."""

    rows: int
    """Samples, or pixels, that were learned from."""

    seeds: int
    """Drawings of the share."""

    value: float
    """Mean of what the task is ranked by."""

    low: float | None
    """Lower end of the 95 % interval, of samples and drawings together."""

    high: float | None
    """Upper end."""


def draw_curve(
    points: Sequence[Point], metric: str, *, title: str, levels: Sequence[tuple[str, float]]
) -> bytes:
    """Return a learning curve as a picture.

    Args:
        points: Of the linear probe, smallest share first.
        metric: What is drawn.
        title: Above it.
        levels: Other floors by name, drawn as lines across.

    Returns:
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(6.4, 4.0), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    rows = [one.rows for one in points]
    known = [one for one in points if one.low is not None and one.high is not None]
    if points:
        panel.plot(
            rows, [one.value for one in points], color="#1f4e79", marker="o", ms=4,
            label="linear probe",
        )  # fmt: skip
        panel.fill_between(
            [one.rows for one in known], [one.low or 0 for one in known],
            [one.high or 0 for one in known], color="#1f4e79", alpha=0.18, linewidth=0,
        )  # fmt: skip
        panel.set_xscale("log")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticks(rows, [f"{one.rows:,}\n{one.share:.0%}" for one in points])
    for (name, value), colour in zip(levels, ("0.45", "#c45a1b", "#2d7d46"), strict=False):
        panel.axhline(value, color=colour, linewidth=1.2, linestyle="--", label=name)
    panel.set(title=title, xlabel="learned from", ylabel=METRICS[metric].title)
    panel.legend(frameon=False, fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
