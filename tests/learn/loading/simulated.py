"""Simulated scenes, whose truth is known, as a draft on a lake of its own."""

from registry.catalog.card.spec import AssetSpec
from registry.curate.ingest.simulator import TASKS, simulate
from tests.learn.loading.lakes import lake_of


def simulated(folder, task, *, samples=24, size=16, seed=11, published=None, split=True, **image):
    """Return a registry and a ref; every third landscape is held out.

    Args:
        folder: For the lake.
        task: Of the simulator.
        samples: How many.
        size: Pixels a side.
        seed: Of the simulator.
        published: What publishes a draft; None leaves it one.
        split: Whether there is a split.
        image: What the card says of the image in other words.
    """
    chips = list(simulate(task, samples=samples, seed=seed, size=size))
    rows = [_row(chip, number) for number, chip in enumerate(chips)]
    sensor = next(iter(chips[0].assets.values()))
    said = {"role": "data", "bands": sensor.bands, "unit": "reflectance", "scale": 0.0001}
    assets = {"image": AssetSpec(**said | image)}
    if "mask" in chips[0].assets:
        assets["mask"] = AssetSpec(role="labels", values=dict(enumerate(TASKS[task].classes)))
    spec = {"task": TASKS[task].kind, "classes": TASKS[task].classes, "assets": assets}
    subsets = {
        row["id"]: ("train", "train", "validate", "test")[number % 4]
        for number, row in enumerate(rows)
    }
    registry, ref = lake_of(
        folder, rows, name=task, spec=spec, splits={"default": subsets} if split else {},
        annotations=[one for chip in chips for one in _annotations(chip)],
    )  # fmt: skip
    if published is not None:
        published(registry, registry.draft(task), lambda at: (at / "published").write_text("yes"))
        ref = f"{task}@v1"
    return registry, ref


def _row(chip, number):
    image = chip.image
    masks = [one.array for one in chip.assets.values() if one.array is not image]
    return {
        "id": chip.id, "hilbert": number, "label": list(chip.labels) or None,
        "target": chip.target,
        "transform": list(chip.grid.transform)[:6],
        "arrays": {"image": image} | dict(zip(["mask"], masks, strict=False)),
    }  # fmt: skip


def _annotations(chip):
    import shapely
    from shapely.affinity import affine_transform

    a, _, c, _, e, f = list(chip.grid.transform)[:6]
    for one in chip.annotations:
        inverse = (1 / a, 0, 0, 1 / e, -c / a, -f / e)
        yield {
            "id": one.id, "sample": chip.id, "category": one.category, "frame": "pixel",
            "geometry": shapely.to_wkb(affine_transform(one.geometry, inverse)),
        }  # fmt: skip
