"""What an audit found, in the terms of GeoCroissant and of Croissant's RAI vocabulary.

References:
    GeoCroissant 1.0 (MLCommons, 2026), use case "Responsible GeoAI"; Croissant RAI 1.0
    (MLCommons, 2024).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from registry.tables.schemas import MEASURES

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["responsible"]

_SPATIAL: Final = frozenset({
    "climate", "climate_group", "coast", "continent", "country", "elevation", "land_share",
    "latitude", "biome",
})  # fmt: skip
_BIASES: Final = (
    "representation", "shortcut", "label-source", "split-shift", "score", "target", "intersection",
    "class-imbalance", "join-count", "clustering",
)  # fmt: skip
_LIMITS: Final = ("outside", "unknown", "gap", "empty-months")
_MOST: Final = 12
_UNSTATED: Final = "Nobody stated how samples were chosen."

Row = Mapping[str, Any]


def responsible(version: "Version") -> dict[str, str | list[str]]:
    """Return what is known of a version's biases, by the terms of Croissant's vocabularies.

    Args:
        version: One that was audited; of any other only what its card says.

    Returns:
        ``geocr:spatialBias``, ``geocr:samplingStrategy``, ``rai:dataBiases`` and
        ``rai:dataLimitations``, as far as there is something to say.
    """
    stated = version.spec.extra.get("sampling_strategy")
    if MEASURES.name not in version.tables():
        return {"geocr:samplingStrategy": str(stated)} if stated else {}
    rows: list[Row] = version.table(MEASURES.name).to_pylist()
    said: dict[str, str | list[str]] = {
        "geocr:spatialBias": _spatial(rows),
        "geocr:samplingStrategy": _sampling(rows, stated),
        "rai:dataBiases": _notes(rows, _BIASES, flagged=True),
        "rai:dataLimitations": _notes(rows, _LIMITS, flagged=False),
    }
    return {term: value for term, value in said.items() if value}


def _spatial(rows: Sequence[Row]) -> str:
    found = [
        row["note"]
        for row in rows
        if row["flagged"] and row["measure"] == "representation" and row["dimension"] in _SPATIAL
    ]
    compared = {row["reference"] for row in rows if row["measure"] == "representation"}
    if not compared:
        return "No sample says where it is."
    beside = f"Compared with {', '.join(sorted(compared))}"
    if not found:
        return f"{beside}: nothing beyond chance was found."
    further = f" And {len(found) - _MOST} more." if len(found) > _MOST else ""
    return f"{beside}: {'; '.join(found[:_MOST])}.{further}"


def _sampling(rows: Sequence[Row], stated: object) -> str:
    layout = [
        f"{note[0].upper()}{note[1:]}." for note in _notes(rows, ("coverage",), flagged=False)
    ]
    return " ".join([f"{str(stated).rstrip('.')}." if stated else _UNSTATED, *layout])


def _notes(rows: Sequence[Row], measures: Sequence[str], *, flagged: bool) -> list[str]:
    return [
        row["note"]
        for row in rows
        if row["measure"] in measures and (row["flagged"] or not flagged) and row["note"]
    ][:_MOST]
