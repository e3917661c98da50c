"""A version as a folder that TorchGeo trains on, where this package is not installed.

Chips are GeoTIFFs, a folder an asset; subsets are lists of ids; ``samples.json`` says which files
and labels a sample has; ``dataset.py`` is the dataset: a program of its own that needs TorchGeo
alone and holds names of bands, scales, means and deviations.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any, Final

import orjson
import shapely

from registry.catalog.splits import in_lab_words, usual_split
from registry.curate.checkout.arrays import write_each
from registry.curate.checkout.layouts import Written
from registry.curate.checkout.places import Places
from registry.curate.checkout.sidecars import in_pixels
from registry.curate.features.normalising import normalisations
from registry.curate.features.pixel_labels import UNLABELLED, PixelLabels, pixel_labels
from registry.curate.features.planning import asset_facts
from registry.curate.formats.geotiff_writer import Raster, said_of, write_geotiff
from registry.errors import InvalidInputError, NotFoundError
from registry.tables import decode

if TYPE_CHECKING:
    from registry.catalog import Version
    from registry.curate.features.statistics import Normalisation
    from registry.curate.features.work import AssetFacts
    from registry.progress import Progress
    from registry.tables import Chip

__all__ = ["write_torchgeo"]

_TEMPLATE: Final = "torchgeo_dataset.txt"
_PLANES: Final = 3
_IMAGE: Final = "image"
_MASK: Final = "mask"
_WORDS: Final = {"validate": "val"}  # what TorchGeo calls it
_ALL: Final = "all"

Row = Mapping[str, Any]


def write_torchgeo(version: "Version", work: Path, *, progress: "Progress") -> Written:
    """Write a version so that TorchGeo trains on it by itself.

    Args:
        version: What to write.
        work: Where: an empty folder.
        progress: Told of every array.

    Returns:
        How many files hold pixels, and what is not as TorchGeo's users expect it.

    Raises:
        InvalidInputError: It has no asset of role ``data`` with pixels.
    """
    facts = asset_facts(version)
    masks = pixel_labels(version)
    inputs = _inputs_first([one for one in facts if one.role == "data"])
    if not inputs:
        raise InvalidInputError(
            f"{version.spec.name!r} has no asset of role 'data' with pixels",
            hint="say in the card which asset a model reads: role: data",
        )
    export = _Export(version=version, work=work, inputs=inputs, masks=masks)
    wanted = {one.name for one in inputs} | {*masks}
    assets = [row for row in version.table("assets").to_pylist() if row["pixels"] is not None]
    held = [row for row in assets if row["asset"] in wanted]
    written, lost = export.write_pixels(held, progress)
    lost += [f"{n}: role {role}: not written" for n, role in _others(facts, wanted)]
    lost += export.write_samples(written, held)
    lost += export.write_splits(_splits(version))
    lost += export.write_program()
    return Written(rasters=sum(len(paths) for paths in written.values()), lost=tuple(lost))


def _inputs_first(inputs: "Sequence[AssetFacts]") -> "list[AssetFacts]":
    return sorted(inputs, key=lambda one: one.name != _IMAGE)


def _others(facts: "Sequence[AssetFacts]", wanted: set[str]) -> list[tuple[str, str]]:
    return [(one.name, one.role) for one in facts if one.name not in wanted]


def _splits(version: "Version") -> dict[str, str]:
    """Return the subset of each sample in the split that training uses; none without a split."""
    name = usual_split(version)
    if name is None:
        return {}
    rows = version.table(f"splits/{name}", columns=["sample", "subset"]).to_pylist()
    return {row["sample"]: in_lab_words(row["subset"]) for row in rows if row["subset"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    """A folder for TorchGeo while it is written."""

    version: "Version"
    work: Path
    inputs: "Sequence[AssetFacts]"
    masks: Mapping[str, PixelLabels]

    # ----------------------------------------------------------------------------- pixels
    def write_pixels(
        self, rows: Sequence[Row], progress: "Progress"
    ) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
        """Write every array.

        Returns:
            The files of each, and what GeoTIFF cannot hold.
        """
        names = dict.fromkeys(row["asset"] for row in rows)
        folders = Places(folders=dict.fromkeys(names, ""), by_class=False)
        named = {name: folders.only(_safe(name), name) for name in names}
        places = Places(folders=named, by_class=False)
        where = {(row["sample"], row["asset"]): _place(places, row) for row in rows}

        def write(row: Row, chip: "Chip") -> tuple[list[str], list[str]]:
            return self._write(row, chip, where[row["sample"], row["asset"]])

        written: dict[tuple[str, str], list[str]] = {}
        lost: list[str] = []
        told = write_each(self.version, rows, write, progress=progress)
        for row, (paths, gone) in zip(rows, told, strict=True):
            written[row["sample"], row["asset"]] = paths
            lost += [f"{paths[0]}: {what}" for what in gone]
        return written, lost

    def _write(self, row: Row, chip: "Chip", place: str) -> tuple[list[str], list[str]]:
        if chip.codec == "jpeg":
            path = f"{place}.jpg"
            self._target(path).write_bytes(chip.data)
            return [path], []
        array = decode(chip.data, codec=chip.codec, dtype=row["dtype"], shape=row["shape"])
        if array.ndim <= _PLANES:
            path = f"{place}.tif"
            return [path], self._geotiff(row, array, path)
        paths = [f"{place}/steps/{number:04}.tif" for number in range(len(array))]
        gone = [self._geotiff(row, step, path) for step, path in zip(array, paths, strict=True)]
        return paths, list(dict.fromkeys(what for told in gone for what in told))

    def _geotiff(self, row: Row, array: Any, path: str) -> list[str]:  # noqa: ANN401 — a NumPy array
        transform = row["transform"]
        raster = Raster(
            array=array if array.ndim == _PLANES else array[None],
            crs=row["crs"],
            transform=None if transform is None else tuple(transform),
            nodata=row["nodata"],
            said=said_of(row["tags"]),
        )
        return write_geotiff(raster, self._target(path))

    def _target(self, path: str) -> Path:
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    # ---------------------------------------------------------------------------- samples
    def write_samples(
        self, written: Mapping[tuple[str, str], list[str]], rows: Sequence[Row]
    ) -> list[str]:
        """Write which files, labels and boxes each sample has.

        Returns:
            Annotations that have no place.
        """
        paths: dict[str, dict[str, list[str]]] = defaultdict(dict)
        for (sample, asset), found in written.items():
            paths[sample][asset] = found
        samples = self.version.table("samples", columns=["id", "label", "target"]).to_pylist()
        several = any(len(row["label"] or ()) > 1 for row in samples)
        boxes, lost = self._boxes(rows)
        classes = self._classes(samples)
        documents = []
        for row in samples:
            said: dict[str, Any] = {"id": row["id"], "files": paths.get(row["id"], {})}
            numbers = [classes[name] for name in row["label"] or () if name in classes]
            if several:
                said["label"] = [float(n in numbers) for n in range(len(classes))]
            elif any(one["label"] for one in samples):
                said["label"] = numbers[0] if numbers else UNLABELLED
            if row["target"] is not None:
                said["target"] = float(row["target"])
            if boxes is not None:
                said["boxes"] = boxes.get(row["id"], [])
            documents.append(said)
        text = orjson.dumps(documents, option=orjson.OPT_INDENT_2)
        (self.work / "samples.json").write_bytes(text + b"\n")
        return lost

    def _classes(self, samples: Sequence[Row]) -> dict[str, int]:
        there = sorted({name for row in samples for name in row["label"] or ()})
        return {name: number for number, name in enumerate(self.version.spec.classes or there)}

    def _boxes(self, rows: Sequence[Row]) -> tuple[dict[str, list[list[float]]] | None, list[str]]:
        """Return the boxes of each sample, whose classes count from 1: 0 is background."""
        if not self.version.count("annotations") or self.masks:
            return None, []
        frames = {row["sample"]: row for row in rows if row["asset"] == self.inputs[0].name}
        drawn = [
            one
            for one in self.version.table("annotations").to_pylist()
            if one["status"] != "rejected" and one["geometry"] is not None
        ]
        names = self._box_classes(drawn)
        found: dict[str, list[list[float]]] = defaultdict(list)
        lost = []
        for one in drawn:
            frame = frames.get(one["sample"])
            if frame is None or (one["frame"] != "pixel" and frame["transform"] is None):
                lost.append(f"{one['sample']}: annotation {one['id']}: its image has no transform")
                continue
            placed = in_pixels(one, frame["transform"])
            x1, y1, x2, y2 = shapely.from_wkb(placed["geometry"]).bounds
            height, width = frame["shape"][-2:]
            box = [max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))]
            if box[0] < box[2] and box[1] < box[3]:
                found[one["sample"]].append([*box, 1 + names.index(one["category"])])
        return found, lost

    def _box_classes(self, drawn: Sequence[Row]) -> list[str | None]:
        there = sorted({one["category"] for one in drawn if one["category"] is not None})
        known = list(self.version.spec.classes) or there
        return [*known, *(name for name in [*there, None] if name not in known)]

    # ----------------------------------------------------------------------------- splits
    def write_splits(self, splits: Mapping[str, str]) -> list[str]:
        """Write a list of ids a subset.

        Returns:
            That there is no split, if so.
        """
        ids = self.version.table("samples", columns=["id"]).column("id").to_pylist()
        lists: dict[str, list[str]] = defaultdict(list)
        for one in ids:
            lists[_ALL].append(one)
            if one in splits:
                lists[_WORDS.get(splits[one], splits[one].replace(":", "-"))].append(one)
        folder = self.work / "splits"
        folder.mkdir()
        for name, members in lists.items():
            text = "".join(f"{one}\n" for one in members)
            (folder / f"{_safe(name)}.txt").write_text(text, encoding="utf-8")
        if splits:
            return []
        hint = f"make one first: eolab split {self.version.ref}"
        return [f"splits: the version has no split, so there is only '{_ALL}'; {hint}"]

    # ---------------------------------------------------------------------------- program
    def write_program(self) -> list[str]:
        """Write ``dataset.py``.

        Returns:
            That there are no statistics, if so.
        """
        lost: list[str] = []
        names = [one.name for one in self.inputs]
        taken: Mapping[str, Normalisation] = {}
        try:
            taken = normalisations(self.version, names)
        except NotFoundError as error:
            lost.append(f"dataset.py: inputs stay physical: {error.problem}")
        ids = sorted({one.content_id for one in taken.values()})
        inputs = {
            one.name: self._input(one, taken.get(one.name), first=number == 0)
            for number, one in enumerate(self.inputs)
        }
        masks = {
            name: _mask(mask, key=_MASK if number == 0 else name)
            for number, (name, mask) in enumerate(
                sorted(self.masks.items(), key=lambda one: one[0] != _MASK)
            )
        }
        samples = self.version.table("samples", columns=["label"]).to_pylist()
        title = self.version.spec.title or self.version.spec.name
        said = {
            "NAME": _class_name(self.version.spec.name),
            "TITLE": _one_line(title),
            "VERSION": f"{self.version.dataset}@{self.version.label}",
            "VERSION_REPR": repr(f"{self.version.dataset}@{self.version.label}"),
            "CONTENT_ID": repr(self.version.content_id),
            "STATISTICS": repr(", ".join(ids) or None),
            "CLASSES": _literal(self._said_classes(samples)),
            "UNLABELLED": str(UNLABELLED),
            "INPUTS": _literal(inputs),
            "MASKS": _literal(masks),
        }
        text = files("registry.curate.checkout").joinpath(_TEMPLATE).read_text("utf-8")
        program = re.sub(r"@@([A-Z_]+)@@", lambda match: said[match[1]], text)
        (self.work / "dataset.py").write_text(program, encoding="utf-8")
        return lost

    def _said_classes(self, samples: Sequence[Row]) -> tuple[str, ...]:
        if not self.masks and self.version.count("annotations"):
            drawn = self.version.table("annotations", columns=["category"]).to_pylist()
            return ("background", *(str(name) for name in self._box_classes(drawn) if name))
        first = next((mask.classes for mask in self.masks.values() if mask.classes), ())
        return first or tuple(self._classes(samples))

    def _input(
        self, facts: "AssetFacts", taken: "Normalisation | None", *, first: bool
    ) -> dict[str, Any]:
        spec = self.version.spec.assets.get(facts.name)
        names = taken.bands if taken is not None else facts.bands
        count = len(names)
        return {
            "key": _IMAGE if first else facts.name,
            "title": spec.title if spec else None,
            "bands": tuple(names),
            "common": facts.common if len(facts.common) == count else (None,) * count,
            "unit": facts.unit,
            "gsd": facts.gsd,
            "scale": _each(facts.scale, count, 1.0),
            "offset": _each(facts.offset, count, 0.0),
            "mean": (0.0,) * count if taken is None else taken.mean,
            "std": (1.0,) * count if taken is None else tuple(one or 1.0 for one in taken.std),
        }


def _mask(mask: PixelLabels, *, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "quantity": mask.quantity,
        "unit": mask.unit,
        "classes": mask.classes,
        "values": dict(mask.values),
        "nodata": tuple(sorted(mask.nodata)),
        "scale": mask.scale,
        "offset": mask.offset,
    }


def _each(numbers: Sequence[float], count: int, neutral: float) -> tuple[float, ...]:
    if not numbers:
        return (neutral,) * count
    return tuple(numbers) if len(numbers) == count else (numbers[0],) * count


def _place(places: Places, row: Row) -> str:
    return places.of(row["sample"], row["asset"], None)


def _safe(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text, flags=re.ASCII).strip(".") or "x"


def _one_line(text: str) -> str:
    """Return a title as it may stand in a docstring."""
    return re.sub(r"[^\w .,:;()+-]", " ", " ".join(text.split()))[:80]


def _class_name(dataset: str) -> str:
    """Return a dataset's name as a class is called.

    Examples:
        >>> _class_name("burn-scars"), _class_name("2021_ships")
        ('BurnScars', 'Set2021Ships')
    """
    name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", dataset))
    return name if name[:1].isalpha() else f"Set{name}"


def _literal(said: object) -> str:
    """Return Python that means the same; texts are escaped, so no name becomes code."""
    return pformat(said, width=96, sort_dicts=False)
