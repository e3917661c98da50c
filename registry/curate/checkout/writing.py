"""A version becomes a folder: all of it appears at once, or nothing does."""

import csv
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from registry.curate.checkout.arrays import write_each
from registry.curate.checkout.layouts import FURTHER, Written, layout_writer
from registry.curate.checkout.places import Places, folders_of, primary_asset
from registry.curate.checkout.report import CheckoutReport
from registry.curate.checkout.sidecars import facts, in_pixels, labels
from registry.curate.formats.coco_writer import CocoImage, write_document
from registry.curate.formats.geotiff_writer import Raster, said_of, write_geotiff
from registry.errors import InvalidInputError, NotFoundError
from registry.progress import SILENT, Progress
from registry.tables import decode

if TYPE_CHECKING:
    from registry.catalog import Version
    from registry.tables import Chip

__all__ = ["checkout"]

_LAYOUTS: Final = ("files", "coco", *FURTHER)
_CARD: Final = "README.md"
_INSTANCES: Final = "annotations/instances.json"
_PLANES: Final = 3


def checkout(
    version: "Version",
    folder: str | Path,
    as_: str = "files",
    *,
    progress: Progress = SILENT,
) -> CheckoutReport:
    """Write a version's samples as files that other programs read.

    Arrays become GeoTIFFs whose pixels, CRS, transform, nodata, scales, offsets and band names
    are those of the source; JPEGs are given back byte by byte. Compression, tiling and overviews
    are the lab's own.

    Args:
        version: What to write.
        folder: Where; must not exist or be empty. It appears when it is whole.
        as_: ``files`` for a folder a class (classification) or ``images``, ``masks`` and
            ``labels``; ``coco`` for ``images`` and ``annotations/instances.json``; or the layout
            of a well-known dataset, as in ``layouts.FURTHER``.
        progress: Told of every raster.

    Returns:
        What was written, and what could not be kept.

    Raises:
        InvalidInputError: The folder is not empty, there is no such layout, or it cannot hold
            what the version has.
        CorruptError: Pixels are not what the tables say.
    """
    if as_ not in _LAYOUTS:
        raise InvalidInputError(
            f"{as_!r} is no layout of files", hint=f"use one of {', '.join(_LAYOUTS)}"
        )
    target = Path(folder).expanduser().absolute()
    with _appearing(target) as work:
        desk = _Desk.of(version, work, coco=as_ == "coco")
        if as_ in FURTHER:
            told = layout_writer(as_)(version, work, progress=progress)
        else:
            desk.write_rasters(progress)
            desk.write_coco() if as_ == "coco" else desk.write_sidecars()
            told = Written(rasters=len(desk.written), lost=tuple(desk.lost))
        desk.write_rest()
        files = sum(path.is_file() for path in work.rglob("*"))
    return CheckoutReport(
        folder=target,
        layout=as_,
        files=files,
        rasters=told.rasters,
        by_reference=sum(row["pixels"] is None for row in desk.assets),
        lost_tags=tuple(sorted(told.lost)),
    )


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Give a folder beside the target that takes its place at the end, or vanishes.

    Yields:
        The folder.

    Raises:
        InvalidInputError: There is something at the target.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InvalidInputError(f"{str(target)!r} is no folder", hint="name another folder")
    if target.is_dir() and any(target.iterdir()):
        raise InvalidInputError(
            f"the folder {str(target)!r} is not empty", hint="name a new folder, or empty it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield work
        work.chmod(0o755)
        work.rename(target)  # over an empty folder, in one step
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(slots=True, kw_only=True)
class _Desk:
    """A checkout while it is written."""

    version: "Version"
    work: Path
    samples: dict[str, dict[str, Any]]
    assets: list[dict[str, Any]]
    annotations: dict[str, list[dict[str, Any]]]
    places: Places
    coco: bool
    written: dict[tuple[str, str], str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, version: "Version", work: Path, *, coco: bool) -> "_Desk":
        tables = set(version.tables())
        samples = {row["id"]: row for row in version.table("samples").to_pylist()}
        assets = version.table("assets").to_pylist() if "assets" in tables else []
        annotations: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if "annotations" in tables:
            for row in version.table("annotations").to_pylist():
                annotations[row["sample"]].append(row)
        by_class = not coco and not annotations and version.spec.task == "classification"
        folders = folders_of(row["asset"] for row in assets)
        if coco:
            folders = dict.fromkeys(folders, "images")
        return cls(
            version=version, work=work, samples=samples, assets=assets, annotations=annotations,
            places=Places(folders=folders, by_class=by_class), coco=coco,
        )  # fmt: skip

    # ------------------------------------------------------------- pixels
    def write_rasters(self, progress: Progress) -> None:
        """Write every asset that has pixels; of COCO's samples the image alone."""
        wanted = [row for row in self.assets if row["pixels"] is not None]
        if self.coco:
            firsts = self._firsts(wanted)
            wanted = [row for row in wanted if firsts[row["sample"]] is row]
        names = {(row["sample"], row["asset"]): self._place(row) for row in wanted}

        def write(row: Mapping[str, Any], chip: "Chip") -> tuple[list[str], list[str]]:
            return self._write(row, chip, names[row["sample"], row["asset"]])

        for paths, lost in write_each(self.version, wanted, write, progress=progress):
            self.lost += [f"{paths[0]}: {what}" for what in lost]

    def _place(self, row: Mapping[str, Any]) -> str:
        sample = self.samples.get(row["sample"], {})
        return self.places.of(row["sample"], row["asset"], sample.get("label"))

    def _write(
        self, row: Mapping[str, Any], chip: "Chip", name: str
    ) -> tuple[list[str], list[str]]:
        if chip.codec == "jpeg":
            path = f"{name}.jpg"
            self._put(path, chip.data)
            self.written[row["sample"], row["asset"]] = path
            return [path], []
        array = decode(chip.data, codec=chip.codec, dtype=row["dtype"], shape=row["shape"])
        if array.ndim == _PLANES:
            return self._write_planes(row, array, f"{name}.tif")
        steps = [
            self._write_planes(row, step, f"{name}/{_step(row, number)}.tif")
            for number, step in enumerate(array)
        ]
        apart = f"series: its {len(array)} time steps are a file each, and come back as such"
        lost = dict.fromkeys(what for _, told in steps for what in told)  # the same in each step
        return [path for paths, _ in steps for path in paths], [apart, *lost]

    def _write_planes(
        self, row: Mapping[str, Any], array: np.ndarray, path: str
    ) -> tuple[list[str], list[str]]:
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        transform = row["transform"]
        raster = Raster(
            array=array,
            crs=row["crs"],
            transform=None if transform is None else tuple(transform),
            nodata=row["nodata"],
            said=said_of(row.get("tags")) or self._promised(row["asset"], len(array)),
        )
        lost = write_geotiff(raster, target)
        self.written.setdefault((row["sample"], row["asset"]), path)
        return [path], lost

    def _promised(self, asset: str, bands: int) -> dict[str, Any]:
        """Return what the card promises of an asset's bands, for arrays that came as no file."""
        spec = self.version.spec.assets.get(asset)
        if spec is None:
            return {}
        said: dict[str, Any] = {}
        if len(spec.bands) == bands:
            said["bands"] = list(spec.bands)
        if spec.scale is not None:
            said["scales"] = [spec.scale] * bands
        if spec.offset is not None:
            said["offsets"] = [spec.offset] * bands
        return said

    # ----------------------------------------------------------- sidecars
    def write_sidecars(self) -> None:
        """Write facts and labels; one table of facts where files lie by class."""
        if self.places.by_class:
            self._put("metadata.json", _json([facts(row) for row in self.samples.values()]))
            return
        firsts, frames = self._firsts(self.assets), self._frames()
        for sample, row in self.samples.items():
            first = firsts.get(sample)
            path = self.written.get((sample, first["asset"])) if first else None
            name = path or self.places.only(f"images/{self._bare(sample)}", sample)
            self._put(f"{_stem(name)}.json", _json(facts(row)))
            if self.annotations.get(sample):
                place = self.places.only(f"labels/{_stem(name).rpartition('/')[2]}", sample)
                frame = frames.get(sample, {})
                said = labels(
                    self.annotations[sample],
                    crs=frame.get("crs"),
                    transform=frame.get("transform"),
                )
                self._put(f"{place}.geojson", said)
        classes = self.version.spec.classes
        if classes:
            self._put("labels.json", _json({"labels": [{"name": name} for name in classes]}))

    def _bare(self, sample: str) -> str:
        return Places(folders={"": ""}, by_class=False).of(sample, "", None).lstrip("/")

    def write_coco(self) -> None:
        """Write the images' sizes and the annotations in pixels as one document."""
        images, rows = [], []
        firsts = self._firsts([row for row in self.assets if row["pixels"] is not None])
        for sample, first in firsts.items():
            path = self.written[sample, first["asset"]]
            row = self.samples.get(sample, {})
            moment = row.get("datetime")
            images.append(
                CocoImage(
                    sample=sample,
                    file_name=path.removeprefix("images/"),
                    height=first["shape"][-2],
                    width=first["shape"][-1],
                    captured=moment.isoformat() if moment else None,
                    licence=(row.get("source") or {}).get("licence"),
                )
            )
            for one in self.annotations.get(sample, ()):
                if one["frame"] != "pixel" and first["transform"] is None:
                    self.lost.append(f"{_INSTANCES}: {one['id']}: its image has no transform")
                elif _is_flat(one):
                    self.lost.append(f"{_INSTANCES}: {one['id']}: COCO has no points or lines")
                else:
                    rows.append(in_pixels(one, first["transform"]))
        spec = self.version.spec
        document = write_document(
            images,
            rows,
            classes=spec.classes,
            title=spec.title or spec.name,
        )
        self._put(_INSTANCES, document)

    # --------------------------------------------------------------- rest
    def write_rest(self) -> None:
        """Write the card, and where assets are that stay outside."""
        try:
            card = self.version.repository.read(_CARD, at=self.version.commit.id)
            self._put(_CARD, card)
        except NotFoundError:
            pass  # a draft may have none yet
        outside = [row for row in self.assets if row["pixels"] is None]
        if outside:
            columns = ("sample", "asset", "href", "checksum", "size")
            with (self.work / "references.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(columns)
                table.writerows([row.get(name) for name in columns] for row in outside)

    def _firsts(self, assets: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the asset that stands for each sample."""
        specs = self.version.spec.assets
        beside = {name for name, spec in specs.items() if spec.role not in {None, "data"}}
        found = {}
        for sample, rows in _by_sample(assets).items():
            first = primary_asset(rows, self._href(sample), beside=beside)
            found[sample] = rows[first or next(iter(rows))]
        return found

    def _frames(self) -> dict[str, dict[str, Any]]:
        """Return the asset in whose CRS each sample's annotations are: the first that has one."""
        placed = [row for row in self.assets if row["crs"]]
        ranked = sorted(placed, key=lambda row: (row["transform"] is None, row["asset"]))
        return {sample: next(iter(rows.values())) for sample, rows in _by_sample(ranked).items()}

    def _href(self, sample: str) -> str | None:
        return (self.samples.get(sample, {}).get("source") or {}).get("href")

    def _put(self, path: str, data: bytes) -> None:
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _by_sample(assets: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in assets:
        found[row["sample"]][row["asset"]] = row
    return found


def _step(row: Mapping[str, Any], number: int) -> str:
    """Return a time step's name: its number, and its time where that is known."""
    times = row["times"] or ()
    return f"{number:04}_{times[number]:%Y%m%dT%H%M%S}" if number < len(times) else f"{number:04}"


def _stem(path: str) -> str:
    head, _, name = path.rpartition("/")
    bare = name.rpartition(".")[0] if name.endswith((".tif", ".jpg")) else name
    return f"{head}/{bare}" if head else bare


def _is_flat(row: Mapping[str, Any]) -> bool:
    import shapely

    geometry = row.get("geometry")
    return geometry is None or shapely.get_dimensions(shapely.from_wkb(geometry)) < 2  # noqa: PLR2004 — an area


def _json(said: object) -> bytes:
    return orjson.dumps(said, option=orjson.OPT_INDENT_2)
