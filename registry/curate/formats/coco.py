"""COCO: images, categories and annotations in one JSON file; ``coco_writer`` is the way back.

References:
    Lin et al. (2014), Microsoft COCO, arXiv:1405.0312; https://cocodataset.org/#format-data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

import orjson
import shapely

from registry.curate.formats import run_lengths
from registry.curate.formats.contract import (
    PIXEL_FRAME,
    Listing,
    Plan,
    Severity,
    SourceFinding,
    SourceOptions,
)
from registry.curate.formats.filenames import sample_ids
from registry.curate.formats.planning import (
    PlanRows,
    ignored_files,
    keys_of,
    name_times,
    pattern_of,
    rasters,
    suffix,
)
from registry.curate.formats.records import parse_time
from registry.errors import RejectedError

__all__ = ["Coco"]

_SURE: Final = 0.95
_HEAD: Final = 4096
_MOST: Final = 64
_LIMIT: Final = 1 << 30
_KEYS: Final = (b'"images"', b'"annotations"', b'"categories"')
_SPOKEN: Final = frozenset({
    "id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "score",
})  # fmt: skip
_CORNERS: Final = 3


class Coco:
    """A folder of images with one or more COCO files of object annotations."""

    name = "coco"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: there is a JSON file that begins as COCO files do."""
        return _SURE if _documents(listing) and rasters(listing) else 0.0

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample an image that a COCO file names.

        Returns:
            The plan: asset ``image``, annotations in pixels, classes in the order of their ids.
            Segmentation if a shape is more than a box, else detection. Images that are named but
            missing are left out with an error; images that nothing names, with a warning.

        Raises:
            RejectedError: No COCO file can be read.
        """
        rows = PlanRows()
        paths = _documents(listing)
        readings = [_read(listing, path) for path in paths]
        if not readings:
            raise RejectedError(
                f"there is no COCO file in {listing.name!r}",
                hint="put the JSON file into the folder of its images",
            )
        finder = _Finder(rasters(listing), pattern_options=options)
        names: dict[str, None] = {}
        card: dict[str, object] = {}
        ids: set[str] = set()
        for path, said in zip(paths, readings, strict=True):
            document = _Document(path=path, said=said, rows=rows, ids=ids)
            names |= dict.fromkeys(document.categories.values())
            card = {**_card(said), **card}
            _add(document, finder)
        _note_extra(rows, finder)
        rows.findings += ignored_files(listing, {*paths, *finder.all})
        classes = options.classes or tuple(names)
        return rows.plan(task=options.task or _task(rows), classes=classes, card=card)


def _documents(listing: Listing) -> list[str]:
    # Where there are thousands of JSON files, those of single samples are the small ones.
    paths = [path for path in listing.files if suffix(path) == ".json"]
    paths = sorted(paths, key=lambda path: listing.files[path].size)[-_MOST:]
    found = []
    for path in paths:
        with listing.open(path) as file:
            head = file.read(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n")
        if head.startswith(b"{") and _is_coco(listing, path, head):
            found.append(path)
    return sorted(found)


def _is_coco(listing: Listing, path: str, head: bytes) -> bool:
    if any(key in head for key in _KEYS[1:]) and b'"stac_version"' not in head:
        return True
    # Long lists of images push the other keys far back.
    if not any(key in head for key in (_KEYS[0], b'"info"', b'"licenses"')):
        return False
    return listing.files[path].size <= _LIMIT and all(
        key in listing.read(path, limit=_LIMIT) for key in _KEYS[:2]
    )


def _read(listing: Listing, path: str) -> Mapping[str, object]:
    try:
        said = orjson.loads(listing.read(path, limit=_LIMIT))
    except orjson.JSONDecodeError as error:
        raise RejectedError(
            f"{path!r} is no JSON: {error}", hint="fetch it again, or mend it"
        ) from error
    if not isinstance(said, dict) or not isinstance(said.get("images"), list):
        raise RejectedError(f"{path!r} lists no images", hint="fetch it again, or mend it")
    return said


class _Finder:
    """Finds the file that a COCO image means."""

    def __init__(self, paths: Sequence[str], *, pattern_options: SourceOptions) -> None:
        self.all = frozenset(paths)
        self.pattern = pattern_of(pattern_options)
        self.ids = dict(zip(paths, sample_ids(keys_of(paths).values()).values(), strict=True))
        self.seen: set[str] = set()
        self._by_name: dict[str, list[str]] = {}
        for path in paths:
            self._by_name.setdefault(PurePosixPath(path).name, []).append(path)

    def find(self, document: str, file_name: str) -> str | None:
        folder = PurePosixPath(document).parent
        for base in (folder, folder / "images", folder.parent / "images", PurePosixPath()):
            if (path := str(base / file_name)) in self.all:
                return path
        same = self._by_name.get(PurePosixPath(file_name).name, [])
        return same[0] if len(same) == 1 else None


@dataclass(slots=True)
class _Document:
    """One COCO file while its rows are made."""

    path: str
    said: Mapping[str, object]
    rows: PlanRows
    ids: set[str]
    categories: dict[object, str] = field(init=False)
    problems: dict[str, list[object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = [one for one in self.list("categories") if "id" in one]
        listed.sort(key=lambda one: one["id"] if isinstance(one["id"], int) else 0)
        self.categories = {_key(one["id"]): str(one.get("name", one["id"])) for one in listed}

    def list(self, name: str) -> list[Mapping[str, object]]:
        found = self.said.get(name)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def odd(self, problem: str, which: object) -> None:
        self.problems.setdefault(problem, []).append(which)

    def report(self) -> None:
        for problem, which in self.problems.items():
            self.rows.warn(
                "bad-annotation",
                f"annotations of {self.path!r}: {problem} ({len(which)} of them)",
                fix="mend the COCO file and ingest again",
                file=self.path,
                annotations=which[:5],
            )


def _key(value: object) -> object:
    return value if isinstance(value, str | int) else repr(value)


def _add(document: _Document, finder: _Finder) -> None:
    licences = {_key(one.get("id")): one for one in document.list("licenses")}
    samples: dict[object, tuple[str, Mapping[str, object]]] = {}
    unknown_licences: set[str] = set()
    for image in document.list("images"):
        file_name = image.get("file_name")
        path = finder.find(document.path, file_name) if isinstance(file_name, str) else None
        if path is None:
            document.rows.findings.append(_missing(document.path, image))
            continue
        sample = finder.ids[path]
        samples[_key(image.get("id"))] = (sample, image)
        licence = licences.get(_key(image.get("license")))
        if licence is None and image.get("license") is not None:
            unknown_licences.add(str(image["license"]))
        if path not in finder.seen:
            finder.seen.add(path)
            _add_sample(document.rows, finder, sample, path, image, licence)
    if unknown_licences:
        document.rows.warn(
            "missing-licence",
            f"images of {document.path!r} have licence {', '.join(sorted(unknown_licences))}, "
            "which its licenses section does not describe",
            fix="declare the licence: --licence",
            file=document.path,
        )
    for said in document.list("annotations"):
        _add_annotation(document, samples, said)
    document.report()


def _missing(document: str, image: Mapping[str, object]) -> SourceFinding:
    name = image.get("file_name")
    return SourceFinding(
        check="missing-pair",
        severity=Severity.ERROR,
        message=f"{document!r} names the image {name!r:.80}, which is not there",
        fix="fetch the image, or remove it from the COCO file",
        asset="image",
        evidence={"file": document, "image": str(image.get("id"))},
    )


def _add_sample(
    rows: PlanRows,
    finder: _Finder,
    sample: str,
    path: str,
    image: Mapping[str, object],
    licence: Mapping[str, object] | None,
) -> None:
    parts, named = name_times(path, finder.pattern)
    time = parse_time(image.get("date_captured"))
    if time is None and named is not None:
        rows.timed_by_name.append(sample)
    time = time or named
    rows.samples.append({
        "id": sample,
        "href": path,
        "group": parts.group,
        "licence": str(licence.get("name") or licence.get("url") or "") or None
        if licence
        else None,
        **(time.columns() if time else {}),
    })
    rows.raster(sample, "image", path)


def _note_extra(rows: PlanRows, finder: _Finder) -> None:
    extra = sorted(finder.all - finder.seen)
    if extra:
        rows.warn(
            "unlisted-image",
            f"images that no COCO file names, left out: {len(extra)}, such as {extra[0]!r}",
            fix="name them in the COCO file, without annotations if there is nothing to see",
            files=extra[:5],
        )


def _card(said: Mapping[str, object]) -> dict[str, object]:
    info = said.get("info")
    if not isinstance(info, dict):
        return {}
    named = {"title": info.get("description"), "source": info.get("url")}
    return {key: value for key, value in named.items() if isinstance(value, str) and value}


def _task(rows: PlanRows) -> str:
    return "detection" if all(row["isbox"] for row in rows.annotations) else "segmentation"


def _add_annotation(
    document: _Document,
    samples: Mapping[object, tuple[str, Mapping[str, object]]],
    said: Mapping[str, object],
) -> None:
    number = said.get("id")
    found = samples.get(_key(said.get("image_id")))
    if found is None:
        document.odd("their image is not there", number)
        return
    sample, image = found
    category = document.categories.get(_key(said.get("category_id")))
    if category is None and said.get("category_id") is not None:
        document.odd("their category is not in the categories section", number)
    try:
        shape, rle = _shape(document, said, image)
    except RejectedError as error:
        document.odd(error.problem, number)
        return
    attributes = {key: value for key, value in said.items() if key not in _SPOKEN}
    name = f"{sample}-{number}"
    if type(number) is not int or name in document.ids:
        document.odd("their id is no number, or taken", number)
        name = f"{sample}-n{len(document.rows.annotations)}"
    document.ids.add(name)
    document.rows.annotations.append({
        "id": name,
        "sample": sample,
        "geometry": shapely.to_wkb(shape),
        "crs": PIXEL_FRAME,
        "category": category,
        "attributes": orjson.dumps(attributes).decode() if attributes else None,
        "score": _number(said.get("score")),
        "area": _number(said.get("area")),
        "iscrowd": bool(said.get("iscrowd", False)),
        "isbox": rle is not None or not said.get("segmentation"),
        "rle": rle,
    })


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _shape(
    document: _Document, said: Mapping[str, object], image: Mapping[str, object]
) -> tuple[shapely.Geometry, str | None]:
    """Return the outline in pixels, and the run lengths if it is only the box around them.

    Raises:
        RejectedError: It is no outline, no box and no run lengths.
    """
    outline = said.get("segmentation")
    if isinstance(outline, dict):
        height, width = (
            size if isinstance(size := image.get(name), int) else None
            for name in ("height", "width")
        )
        run_lengths.check(outline, height=height, width=width)
        return _box(said.get("bbox")), orjson.dumps(outline).decode()
    if not outline:
        return _box(said.get("bbox")), None
    if isinstance(outline, list) and not isinstance(outline[0], list):
        document.odd(
            "their segmentation is one list of numbers, not a list of such", said.get("id")
        )
        outline = [outline]
    if not isinstance(outline, list):
        raise RejectedError("their segmentation is no list", hint="mend it")
    parts = [_ring(part) for part in outline]
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts), None


def _ring(part: object) -> shapely.Polygon:
    numbers = (
        [n for one in part if (n := _number(one)) is not None] if isinstance(part, list) else []
    )
    if len(numbers) < 2 * _CORNERS or len(numbers) % 2 or len(numbers) != len(part):  # type: ignore[arg-type]  # a list, or numbers is empty
        raise RejectedError("their outline has no three corners", hint="mend it")
    return shapely.Polygon(list(zip(numbers[::2], numbers[1::2], strict=True)))


def _box(bbox: object) -> shapely.Polygon:
    numbers = (
        [n for one in bbox if (n := _number(one)) is not None] if isinstance(bbox, list) else []
    )
    if len(numbers) != 4 or min(numbers[2:]) <= 0:  # noqa: PLR2004 — x, y, width, height
        raise RejectedError("they have neither an outline nor a box with a size", hint="mend it")
    x, y, width, height = numbers
    return shapely.box(x, y, x + width, y + height)
