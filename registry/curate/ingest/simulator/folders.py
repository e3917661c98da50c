"""Simulated chips as files, laid out as other people's datasets are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from json import dumps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt
import shapely

from registry.curate.ingest.simulator.cards import card_of
from registry.curate.ingest.simulator.chips import SimulatedAsset, SimulatedChip
from registry.curate.ingest.simulator.defects import break_some
from registry.curate.ingest.simulator.sheets import true_colour
from registry.curate.ingest.simulator.simulation import simulate
from registry.curate.ingest.simulator.tasks import Task, task_named
from registry.errors import InvalidInputError, NotFoundError, UnavailableError
from registry.geo import bbox_of, to_crs84

__all__ = ["LAYOUTS", "WrittenFolder", "write_folder"]

_CARD: Final = "README.md"
_PACKED: Final = frozenset({"image-folder"})
_SCALE: Final = 0.0001
_CC0: Final = "https://creativecommons.org/publicdomain/zero/1.0/"
_USUAL: Final = MappingProxyType({
    "classification": "image-folder",
    "segmentation": "image-mask",
    "regression": "image-mask",
    "detection": "geotiff-sidecar",
})


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFolder:
    """What was written, and what is true of it."""

    path: Path
    """What to ingest: the folder, or the one archive in it."""

    layout: str
    """A key of ``LAYOUTS``."""

    samples: int
    """Chips written."""

    files: int
    """Files written."""

    defects: Mapping[str, tuple[str, ...]]
    """What was broken on purpose, by sample; keys of ``DEFECTS``."""


def write_folder(  # noqa: PLR0913 — a simulation has this many choices
    task: str,
    folder: Path,
    *,
    samples: int,
    seed: int,
    layout: str | None = None,
    sensor: str | None = None,
    size: int = 64,
    places: Sequence[str] = (),
    defects: Sequence[str] = (),
) -> WrittenFolder:
    """Write a simulated dataset as files, as a person would find one.

    Args:
        task: As for ``simulate``, like ``seed``, ``sensor``, ``size`` and ``places``.
        folder: Where to; made if absent, and empty if not.
        samples: How many chips.
        seed: What chance starts from.
        layout: A key of ``LAYOUTS``; None for the one usual for the task.
        sensor: ``hls`` or ``sentinel-2``.
        size: Pixels along the edge of a chip.
        places: Names of places to stay at.
        defects: What to break on purpose, keys of ``DEFECTS``; one chip each.

    Returns:
        Where it is, how much, and what is wrong with it.

    Raises:
        NotFoundError: There is no such task, layout, sensor, place or defect.
        InvalidInputError: The folder is not empty, or the layout cannot hold the task.
        UnavailableError: The disk refuses.
    """
    what = task_named(task)
    name = layout or _USUAL[what.kind]
    if name not in LAYOUTS:
        raise NotFoundError(f"there is no layout {name!r}", hint=f"choose of {', '.join(LAYOUTS)}")
    _check(what, name)
    chips = simulate(task, samples=samples, seed=seed, sensor=sensor, size=size, places=places)
    if defects:
        chips = break_some(chips, samples=samples, defects=defects)
    try:
        _prepare(folder)
        return _write(what, folder, name, chips)
    except OSError as error:
        raise UnavailableError(
            f"cannot write to {folder}: {error}", hint="free some space, or choose another folder"
        ) from error


def _check(task: Task, layout: str) -> None:
    fits = {
        "image-folder": task.kind == "classification",
        "class-folder": task.kind == "classification",
        "image-mask": task.kind in ("segmentation", "regression"),
    }.get(layout, task.kind == "detection")
    if not fits:
        raise InvalidInputError(
            f"the layout {layout!r} cannot hold {task.kind}",
            hint=f"leave it out to write {_USUAL[task.kind]!r}",
        )


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidInputError(
            f"{folder} is not empty", hint="choose a folder that is, or a new one"
        )


def _write(task: Task, folder: Path, layout: str, chips: Iterator[SimulatedChip]) -> WrittenFolder:
    defects: dict[str, tuple[str, ...]] = {}
    count = 0

    def noted() -> Iterator[SimulatedChip]:
        nonlocal count
        for chip in chips:
            if not count and layout not in _PACKED:
                (folder / _CARD).write_text(card_of(task, chip).to_readme(), encoding="utf-8")
            count += 1
            if chip.defects:
                defects[chip.id] = chip.defects
            yield chip

    path, files = LAYOUTS[layout](task, folder, noted())
    files += layout not in _PACKED
    return WrittenFolder(path=path, layout=layout, samples=count, files=files, defects=defects)


def _image_folder(task: Task, folder: Path, chips: Iterator[SimulatedChip]) -> tuple[Path, int]:
    """Return the path and count of what was written: a zip of JPEGs by class, like EuroSAT."""
    archive = folder / f"simulated-{task.name}.zip"
    files = 0
    with ZipFile(archive, "w", ZIP_STORED) as packed:
        for number, chip in enumerate(chips, start=1):
            label = chip.labels[0]
            if number == 1:
                card = card_of(task, chip, pictures=True).to_readme()
                packed.writestr(_entry(f"{task.name}/{_CARD}"), card)
                files += 1
            entry = _entry(f"{task.name}/{label}/{label}_{number}.jpg")
            packed.writestr(entry, _pointer(chip) or _jpeg(chip))
            files += 1
    return archive, files


def _entry(path: str) -> ZipInfo:
    return ZipInfo(path, (2020, 1, 1, 0, 0, 0))  # so that the same seed gives the same archive


def _jpeg(chip: SimulatedChip) -> bytes:
    from PIL import Image

    asset = next(iter(chip.assets.values()))
    out = BytesIO()
    Image.fromarray(true_colour(asset.array, asset.bands)).save(out, format="JPEG", quality=92)
    return out.getvalue()


def _class_folder(task: Task, folder: Path, chips: Iterator[SimulatedChip]) -> tuple[Path, int]:  # noqa: ARG001 — a seam
    """Return the path and count of what was written: GeoTIFFs by class, like EuroSAT MS."""
    files = 0
    for chip in chips:
        files += _image(folder / chip.labels[0] / f"{chip.id}.tif", chip)
    return folder, files


def _image_mask(task: Task, folder: Path, chips: Iterator[SimulatedChip]) -> tuple[Path, int]:
    """Return the path and count of what was written: equal names in two folders."""
    files = 0
    for chip in chips:
        files += _image(folder / "images" / f"{chip.id}.tif", chip)
        if "missing-pair" not in chip.defects:
            where = folder / ("masks" if task.kind == "segmentation" else "targets")
            _geotiff(where / f"{chip.id}.tif", chip, chip.assets[task.truth_asset])
            files += 1
    return folder, files


def _geotiff_sidecar(task: Task, folder: Path, chips: Iterator[SimulatedChip]) -> tuple[Path, int]:
    """Return the path and count of what was written: images and sidecars, like EOTDL's ships."""
    files = 0
    for chip in chips:
        files += _image(folder / f"{chip.id}.tif", chip)
        (folder / f"{chip.id}.json").write_text(dumps(_sidecar(chip)))
        files += 1
        if "missing-pair" not in chip.defects:
            (folder / f"{chip.id}_labels.geojson").write_text(dumps(_features(task, chip)))
            files += 1
    return folder, files


def _sidecar(chip: SimulatedChip) -> dict[str, Any]:
    if "wrong-crs" in chip.defects:
        box: list[float] = [0, 0, chip.grid.width, chip.grid.height]
    else:
        whole = bbox_of(chip.grid.footprint())
        box = [whole.west, whole.south, whole.east, whole.north]
    return {
        "acquisition-date": f"{chip.moment:%Y-%m-%d}",
        "bounding-box": box,
        "type": next(iter(chip.assets)),
        **chip.properties,
    }


def _features(task: Task, chip: SimulatedChip) -> dict[str, Any]:
    features = [
        {
            "type": "Feature",
            "properties": {"labels": [thing.category], "tasks": [task.kind], **thing.attributes},
            "geometry": shapely.geometry.mapping(to_crs84(thing.geometry, chip.grid.crs)),
        }
        for thing in chip.annotations
    ]
    return {"type": "FeatureCollection", "features": features}


def _coco(task: Task, folder: Path, chips: Iterator[SimulatedChip]) -> tuple[Path, int]:
    """Write images and one ``annotations.json`` with polygons in pixels.

    Returns:
        The folder, and the number of files written.

    References:
        Lin et al. (2014), Microsoft COCO, https://cocodataset.org/#format-data
    """
    images: list[dict[str, Any]] = []
    things: list[dict[str, Any]] = []
    files = 1
    for number, chip in enumerate(chips, start=1):
        files += _image(folder / "images" / f"{chip.id}.tif", chip)
        images.append({
            "id": number, "file_name": f"images/{chip.id}.tif", "width": chip.grid.width,
            "height": chip.grid.height, "license": 1,
            "date_captured": f"{chip.moment:%Y-%m-%d %H:%M:%S}",
        })  # fmt: skip
        if "missing-pair" not in chip.defects:
            things += _coco_things(task, chip, number, first=len(things) + 1)
    document = {
        "info": {
            "description": f"simulated {task.name}",
            "version": "1",
            "contributor": "simulator",
        },
        "licenses": [
            {
                "id": 1,
                "name": "CC0-1.0",
                "url": "https://creativecommons.org/publicdomain/zero/1.0/",
            }
        ],
        "images": images,
        "annotations": things,
        "categories": [{"id": i, "name": name} for i, name in enumerate(task.classes, start=1)],
    }
    (folder / "annotations.json").write_text(dumps(document))
    return folder, files


def _coco_things(
    task: Task, chip: SimulatedChip, image: int, *, first: int
) -> list[dict[str, Any]]:
    a, _, c, _, e, f = chip.grid.transform
    rows = []
    for number, thing in enumerate(chip.annotations, start=first):
        points = (shapely.get_coordinates(thing.geometry)[:-1] - (c, f)) / (a, e)
        low, high = points.min(axis=0), points.max(axis=0)
        rows.append({
            "id": number, "image_id": image, "category_id": task.classes.index(thing.category) + 1,
            "segmentation": [points.round(3).ravel().tolist()], "iscrowd": 0,
            "bbox": [*low.round(3).tolist(), *(high - low).round(3).tolist()],
            "area": round(float(shapely.Polygon(points).area), 3),
        })  # fmt: skip
    return rows


def _image(path: Path, chip: SimulatedChip) -> int:
    pointer = _pointer(chip)
    if pointer is None:
        _geotiff(path, chip, next(iter(chip.assets.values())))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pointer)
    return 1


def _pointer(chip: SimulatedChip) -> bytes | None:
    if "lfs-pointer" not in chip.defects:
        return None
    digest = sha256(np.ascontiguousarray(chip.image).tobytes()).hexdigest()
    lines = (
        "version https://git-lfs.github.com/spec/v1",
        f"oid sha256:{digest}",
        f"size {chip.image.nbytes}",
        "",
    )
    return "\n".join(lines).encode()


def _geotiff(path: Path, chip: SimulatedChip, asset: SimulatedAsset) -> None:
    import rasterio
    from rasterio.transform import Affine

    planes = _planes(asset.array)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=planes.shape[2], height=planes.shape[1],
        count=planes.shape[0], dtype=planes.dtype, crs=chip.grid.crs, nodata=asset.nodata,
        transform=Affine(*chip.grid.transform), compress="deflate", zlevel=1,
    ) as file:  # fmt: skip
        file.write(planes)
        file.descriptions = _descriptions(asset)
        if planes.dtype == np.uint16:
            file.scales = (_SCALE,) * planes.shape[0]
        file.update_tags(TIFFTAG_DATETIME=f"{chip.moment:%Y:%m:%d %H:%M:%S}")


def _planes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return time steps behind each other, the bands of one step together."""
    return array.reshape(-1, *array.shape[-2:])


def _descriptions(asset: SimulatedAsset) -> tuple[str, ...]:
    if not asset.times:
        return asset.bands
    return tuple(f"{band} {moment:%Y-%m-%d}" for moment in asset.times for band in asset.bands)


Layout = Callable[[Task, Path, Iterator[SimulatedChip]], tuple[Path, int]]

LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType({
    "image-folder": _image_folder,
    "class-folder": _class_folder,
    "image-mask": _image_mask,
    "geotiff-sidecar": _geotiff_sidecar,
    "coco": _coco,
})
"""How files can lie, and what writes them so."""
