"""The README of a simulated dataset: what a good source says of itself."""

from typing import Final

from registry.catalog import AssetSpec, Provider, Spec
from registry.catalog.card.spec import Task as Purpose
from registry.curate.ingest.simulator.chips import SimulatedChip
from registry.curate.ingest.simulator.tasks import Task

__all__ = ["card_of"]

_UNITS: Final = {"biomass": "t/ha"}


def card_of(task: Task, chip: SimulatedChip, *, pictures: bool = False) -> Spec:
    """Return the card of a simulated dataset, in the names under which its files are read.

    Args:
        task: What was simulated.
        chip: Any of its chips.
        pictures: Whether the files are pictures in true colour.
    """
    sensor = next(iter(chip.assets))
    seen = chip.assets[sensor]
    one_step = not seen.times
    image = AssetSpec(
        title="true colour" if pictures else sensor,
        role="data",
        bands=("red", "green", "blue") if pictures else seen.bands if one_step else (),
        unit=None if pictures else "reflectance",
        gsd=chip.properties.get("gsd"),
    )
    assets = {"image": image}
    if task.truth_asset in chip.assets:
        named = dict(enumerate(task.classes)) if task.kind == "segmentation" else {}
        assets["mask"] = AssetSpec(
            title=task.truth_asset, role="labels", values=named, unit=_UNITS.get(task.truth_asset)
        )
    return Spec(
        name=f"simulated-{task.name}",
        title=f"Simulated {task.name}",
        task=Purpose(task.kind),
        licence="CC0-1.0",
        providers=(Provider(name="simulator", roles=("producer",)),),
        classes=task.classes,
        assets=assets,
        body=(
            f"# Simulated {task.name}\n\n"
            "Scenes with known truth, simulated at real places from published spectra of what"
            " covers the ground. Nothing in them was seen from space.\n"
        ),
    )
