"""How many samples and objects of each class, subset and month a version has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from registry.web.colours import class_colour, hexadecimal

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["Bar", "class_bars", "month_bars", "split_bars"]

_MOST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A name with how often it occurs."""

    name: str
    """What is counted."""

    count: int
    """How many."""

    share: float
    """Of the largest, in [0, 1]."""

    colour: str = ""
    """As CSS writes it; empty where none is its own."""


def class_bars(version: "Version") -> list[tuple[str, list[Bar]]]:
    """Return how often classes occur: of scenes, then of objects, the most frequent first.

    Args:
        version: What is counted.

    Returns:
        A title and its bars, for each kind of label there is; at most 40 bars each, the rest as
        one.
    """
    groups = []
    if version.count("samples"):
        labels = version.table("samples", columns=["label"])["label"].combine_chunks()
        groups.append(("Scenes by class", pc.list_flatten(labels)))
    if version.count("annotations"):
        table = version.table("annotations", columns=["category", "status"])
        kept = table.filter(pc.fill_null(pc.not_equal(table["status"], "rejected"), True))  # noqa: FBT003 — Arrow's own
        groups.append(("Objects by class", kept["category"].combine_chunks()))
    listed = list(version.spec.classes)
    return [(title, bars) for title, column in groups if (bars := _bars(column, listed))]


def _bars(column: pa.Array, classes: Sequence[str]) -> list[Bar]:
    found = [each for each in pc.value_counts(column).to_pylist() if each["values"] is not None]
    found.sort(key=lambda each: (-each["counts"], each["values"]))
    order = list(classes) or sorted(each["values"] for each in found)
    rest = sum(each["counts"] for each in found[_MOST:])
    largest = found[0]["counts"] if found else 1
    bars = [
        Bar(
            name=each["values"],
            count=each["counts"],
            share=each["counts"] / largest,
            colour=hexadecimal(
                class_colour(order.index(each["values"]) if each["values"] in order else len(order))
            ),
        )
        for each in found[:_MOST]
    ]
    more = f"{len(found) - _MOST} further classes"
    return [*bars, Bar(name=more, count=rest, share=min(1.0, rest / largest))] if rest else bars


def split_bars(version: "Version") -> list[tuple[str, list[Bar]]]:
    """Return how many samples each part of each split has."""
    found = []
    for name in version.tables():
        if name.startswith("splits/"):
            column = version.table(name, columns=["subset"])["subset"].combine_chunks()
            found.append((name.removeprefix("splits/"), _plain(column)))
    return found


def month_bars(version: "Version") -> list[Bar]:
    """Return how many samples were acquired in each month of the year; empty if none says when."""
    if not version.count("samples"):
        return []
    table = version.table("samples", columns=["datetime", "start_datetime"])
    times = pc.drop_null(pc.coalesce(table["datetime"], table["start_datetime"]).combine_chunks())
    if not len(times):
        return []
    counts = {
        each["values"]: each["counts"] for each in pc.value_counts(pc.month(times)).to_pylist()
    }
    largest = max(counts.values())
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return [
        Bar(name=name, count=counts.get(at, 0), share=counts.get(at, 0) / largest)
        for at, name in enumerate(names, start=1)
    ]


def _plain(column: pa.Array) -> list[Bar]:
    found = [each for each in pc.value_counts(column).to_pylist() if each["values"] is not None]
    largest = max((each["counts"] for each in found), default=1)
    return [
        Bar(name=each["values"], count=each["counts"], share=each["counts"] / largest)
        for each in sorted(found, key=lambda each: -each["counts"])
    ]
