"""``python docs/metrics.py``: write the reference of metrics from their own definitions."""

from pathlib import Path

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.metrics import Metric, metrics_of

PAGE = Path(__file__).parent / "reference" / "metrics.md"
_HEAD = """# Metrics

Every figure that `eolab evaluate` gives, with its definition and where it comes from. The name is
that of the column `metric` in the table `scores`. A figure has a revision, which counts up when its
definition changes: then its scores are of another protocol and stand on another board. What
intervals are: [scores](../concepts/scores.md). This page is made from the definitions themselves.

A figure that cannot be had (a class that is nowhere, a fit to equal values) is null, never 0.
"""
_TASKS = {
    HeadTask.CLASSIFICATION: "One class a sample",
    HeadTask.MULTILABEL: "Several classes a sample",
    HeadTask.SEGMENTATION: "One class a pixel, and change",
    HeadTask.DETECTION: "Boxes",
    HeadTask.REGRESSION: "Quantities of samples and of pixels",
}


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([_HEAD, *(_section(task, title) for task, title in _TASKS.items())])


def _section(task: HeadTask, title: str) -> str:
    found = metrics_of(task)
    rows = "\n".join(_row(one) for one in found)
    return (
        f"## {title}\n\nRanked by `{found[0].name}`.\n\n"
        "| metric | definition | of | best | reference |\n|---|---|---|---|---|\n"
        f"{rows}\n"
    )


def _row(one: Metric) -> str:
    of = [*(["all"] if one.overall else []), *(["each class"] if one.by_class else [])]
    best = {"high": "high", "low": "low", "zero": "near 0"}[one.best]
    unit = ", in the quantity's unit" if one.unit != "1" else ""
    cells = [
        f"`{one.name}` {one.title}", one.definition, " and ".join(of), best + unit, one.reference
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
