"""GeoTIFFs with sidecars: metadata in JSON, labels in GeoJSON, or nothing beside them at all."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from registry.curate.formats.contract import Listing, Plan, SourceOptions
from registry.curate.formats.filenames import escape_id, sample_ids
from registry.curate.formats.image_mask import add_labels
from registry.curate.formats.layout import folders_alike
from registry.curate.formats.planning import (
    TIFF_SUFFIXES,
    PlanRows,
    ignored_files,
    keys_of,
    name_times,
    pattern_of,
    rasters,
    suffix,
)
from registry.curate.formats.records import Record, parse_record, read_json, sample_tables
from registry.curate.formats.roles import asset_name, without_mask_word
from registry.errors import RejectedError

__all__ = ["GeotiffSidecar"]

_SURE: Final = 0.85
_BARE: Final = 0.2
_COMMON: Final = 0.5  # what fewer images have than this, the others need not have
_CLASS_LISTS: Final = frozenset({"labels.json", "classes.json", "label_map.json"})
_BAND: Final = re.compile(r"(?P<scene>.+)[_.-](?:B\d{1,2}A?|VV|VH|HH|HV|band_?\d+)", re.IGNORECASE)
_TASKS: Final = ("segmentation", "detection", "classification", "regression")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sidecars:
    """Where a source keeps what belongs to its images."""

    metadata: Mapping[str, str]
    """Image path to JSON path."""

    labels: Mapping[str, str]
    """Image path to GeoJSON path."""


class GeotiffSidecar:
    """``<id>.tif``, and where there are such ``<id>.json`` and ``<id>_labels.geojson``.

    Sidecars lie beside their image, or in another folder under the image's name. Class names come
    from ``labels.json`` where there is one, as EOTDL's labelling tool writes it.

    References:
        EOTDL, https://www.eotdl.com (the sidecars' keys).
    """

    name = "geotiff-sidecar"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: the share of GeoTIFFs with a sidecar; a little if none has one."""
        images = rasters(listing, TIFF_SUFFIXES)
        if not images:
            return 0.0
        sidecars = _sidecars(listing, images)
        share = len(sidecars.metadata.keys() | sidecars.labels.keys()) / len(images)
        return _BARE + (_SURE - _BARE) * share

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample a GeoTIFF, or one a folder where folders hold files of like names.

        Returns:
            The plan: asset ``image``, or an asset a name (``s1``, ``s2``); annotations in the CRS
            of their file, the task that the labels say they are for (the first, if several),
            classes from the class list or as found. A date without a clock time becomes the
            interval of that day.

        Raises:
            RejectedError: There is no GeoTIFF.
        """
        images = rasters(listing, TIFF_SUFFIXES)
        if not images:
            raise RejectedError(
                f"there is no GeoTIFF in {listing.name!r}", hint="check the path or the --format"
            )
        rows = PlanRows()
        sidecars = _sidecars(listing, images)
        records, used = sample_tables(listing, rows)
        samples = _samples(images)
        ids = _ids(list(samples), options)
        tasks: Counter[str] = Counter()
        for path, files in samples.items():
            record = _record(rows, listing, sidecars.metadata.get(path), ids[path])
            record = record or records.get(PurePosixPath(path).stem.lower(), Record())
            row = _sample_row(rows, path, ids[path], record, options)
            rows.samples.append(row | {"href": next(iter(files.values()))})
            for asset, file in files.items():
                rows.raster(ids[path], asset, file)
            labels = sidecars.labels.get(path)
            if labels is not None:
                tasks.update(add_labels(rows, listing, labels, sample=ids[path], options=options))
        _note_unlabelled(rows, list(samples), sidecars, ids)
        _note_bands_apart(rows, list(samples))
        lists = [path for path in listing.files if PurePosixPath(path).name in _CLASS_LISTS]
        used |= {*images, *sidecars.metadata.values(), *sidecars.labels.values(), *lists}
        rows.findings += ignored_files(listing, used)
        return rows.plan(
            task=options.task or _task(tasks, rows),
            classes=options.classes or _classes(rows, listing, lists),
        )


def _samples(images: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return each sample's files by asset; the sample by its only file, or else its folder."""
    alike = folders_alike(images)
    if alike is None:
        return {path: {"image": path} for path in images}
    return {key: {asset_name(role): path for role, path in files.items()}
            for key, files in alike.files.items()}  # fmt: skip


def _sidecars(listing: Listing, images: Sequence[str]) -> _Sidecars:
    metadata, labels = {}, {}
    beside = {
        ending: {str(PurePosixPath(path).with_suffix("")): path for path in listing.files
                 if suffix(path) == ending}
        for ending in (".json", ".geojson")
    }  # fmt: skip
    named = _by_bare_name(beside[".geojson"].values())
    for image in images:
        bare = str(PurePosixPath(image).with_suffix(""))
        if bare in beside[".json"]:
            metadata[image] = beside[".json"][bare]
        near = [beside[".geojson"].get(name) for name in (f"{bare}_labels", bare)]
        far = named.get(PurePosixPath(image).stem, ())
        found = next((path for path in near if path), far[0] if len(far) == 1 else None)
        if found is not None:
            labels[image] = found
    return _Sidecars(metadata=metadata, labels=labels)


def _by_bare_name(paths: Iterable[str]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for path in paths:
        name = PurePosixPath(path).stem
        named.setdefault(without_mask_word(name) or name, []).append(path)
    return named


def _note_bands_apart(rows: PlanRows, samples: Sequence[str]) -> None:
    """Warn of files that are single bands of one scene, each of which became a sample."""
    scenes: dict[str, list[str]] = {}
    for path in samples:
        if found := _BAND.fullmatch(str(PurePosixPath(path).with_suffix(""))):
            scenes.setdefault(found["scene"], []).append(path)
    several = {scene: files for scene, files in scenes.items() if len(files) > 1}
    if not several:
        return
    files = [file for each in several.values() for file in each]
    rows.warn(
        "bands-apart",
        f"files that look like single bands of a scene, each taken for a sample of its own: "
        f"{len(files)} of {len(several)} scenes, such as {files[0]!r}",
        fix="stack the bands of each scene in one file, or put each scene in a folder of its own",
        files=files[:5],
    )


def _keys(samples: Sequence[str]) -> dict[str, str]:
    folders = any(suffix(path) not in TIFF_SUFFIXES for path in samples)
    return {path: path for path in samples} if folders else keys_of(samples)


def _ids(images: Sequence[str], options: SourceOptions) -> dict[str, str]:
    pattern, keys = pattern_of(options), _keys(images)
    ids = sample_ids(keys.values())
    found = {}
    for path in images:
        parts = pattern.match(path) if pattern else None
        found[path] = escape_id(parts.id) if parts and parts.id else ids[keys[path]]
    return found


def _record(rows: PlanRows, listing: Listing, path: str | None, sample: str) -> Record | None:
    said = read_json(listing, path, rows, sample=sample) if path else None
    if path is None or said is None:
        return None
    record = (
        parse_record(said) if isinstance(said, dict) else Record(problems=("it is no JSON object",))
    )
    for problem in record.problems:
        rows.warn(
            "bad-sidecar",
            f"{path!r}: {problem}",
            fix="mend the sidecar and ingest again",
            sample=sample,
            file=path,
        )
    return record


def _sample_row(
    rows: PlanRows, path: str, sample: str, record: Record, options: SourceOptions
) -> dict[str, object]:
    parts, named = name_times(path, pattern_of(options))
    if record.time is None and named is not None:
        rows.timed_by_name.append(sample)
    time = record.time or named
    row: dict[str, object] = {"id": sample, **(time.columns() if time else {})}
    if parts.label:
        row["label"] = [parts.label]
    if parts.group:
        row["group"] = parts.group
    return row | record.columns()


def _note_unlabelled(
    rows: PlanRows, images: Sequence[str], sidecars: _Sidecars, ids: Mapping[str, str]
) -> None:
    """Say which images lack a sidecar that others have; an image alone may be meant so."""
    for kind, found in (("metadata", sidecars.metadata), ("labels", sidecars.labels)):
        if len(found) < len(images) * _COMMON:
            continue
        for path in images:
            if path not in found:
                rows.warn(
                    "missing-pair",
                    f"{path!r} has no {kind} file, though others have one",
                    fix=f"add its {kind}, or remove the image",
                    sample=ids[path],
                    asset=kind,
                    file=path,
                )


def _task(tasks: Counter[str], rows: PlanRows) -> str | None:
    said = [task for task in _TASKS if task in tasks]
    if said:
        return said[0]
    if rows.annotations:
        return "detection" if all(row["isbox"] for row in rows.annotations) else "segmentation"
    return "classification" if any(row.get("label") for row in rows.samples) else None


def _classes(rows: PlanRows, listing: Listing, lists: Sequence[str]) -> tuple[str, ...]:
    listed = [name for path in lists for name in _class_list(rows, listing, path)]
    found = {str(row["category"]) for row in rows.annotations if row["category"]}
    for row in rows.samples:
        labels = row.get("label")
        found |= set(labels) if isinstance(labels, list) else set()
    return (*dict.fromkeys(listed), *sorted(found - set(listed)))


def _class_list(rows: PlanRows, listing: Listing, path: str) -> list[str]:
    said = read_json(listing, path, rows)
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in _entries(said)]
    return [name for name in names if isinstance(name, str)]


def _entries(said: object) -> list[object]:
    found = said.get("labels", said.get("classes")) if isinstance(said, dict) else said
    return found if isinstance(found, list) else []
