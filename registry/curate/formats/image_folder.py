"""Image folder: one folder a class, as EuroSAT, UC Merced and most scene classification sets."""

import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath
from typing import Final

from registry.catalog.splits import is_subset_word
from registry.curate.formats.contract import Listing, Plan, SourceOptions
from registry.curate.formats.filenames import escape_id, sample_ids, time_from_name
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
from registry.curate.formats.records import Record, has_table, sample_tables
from registry.curate.formats.roles import is_role
from registry.errors import RejectedError

__all__ = ["ImageFolder"]

_SURE: Final = 0.8
_TABLED: Final = 0.5
_MIN_CLASSES: Final = 2
_NUMBERED: Final = re.compile(
    r"(?:(?:chip|frame|image|img|patch|photo|sample|tile)[ _-]?)?\d+", re.IGNORECASE
)


class ImageFolder:
    """``<anything>/<class>/<name>.jpg``: the innermost folder's name is the label.

    References:
        Helber et al. (2019), EuroSAT, doi:10.1109/JSTARS.2019.2918242 (the layout).
    """

    name = "image-folder"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: folders of several differently named images, not of roles."""
        images = rasters(listing)
        folders = _by_folder(images)
        classes = {PurePosixPath(folder).name for folder in folders if folder}
        if not classes and images and not rasters(listing, TIFF_SUFFIXES):
            return _TABLED if has_table(listing) else 0.0
        if len(classes) < _MIN_CLASSES or any(map(_is_no_class, classes)):
            return 0.0
        if any(time_from_name(name) for name in classes):  # folders of scenes or patches
            return 0.0
        # aerial.tif beside mask.tif in every folder: the folders are samples, not classes. But
        # 1.jpg in every folder is a count.
        names = Counter(PurePosixPath(path).name for path in images if not _is_counted(path))
        repeated = sum(count for count in names.values() if count > 1)
        several = sum(len(paths) for paths in folders.values() if len(paths) > 1)
        inside = sum(len(paths) for folder, paths in folders.items() if folder)
        return _SURE * inside * several * (len(images) - repeated) / len(images) ** 3

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample an image, labelled by its folder.

        Returns:
            The plan: asset ``image``, task classification, classes sorted unless the user orders
            them. Images that lie in no folder have no label and a finding each.

        Raises:
            RejectedError: There is no image.
        """
        images = rasters(listing)
        if not images:
            raise RejectedError(
                f"there is no image in {listing.name!r}",
                hint="name the folder that holds one folder a class, or another --format",
            )
        pattern = pattern_of(options)
        keys = keys_of(images)
        ids = sample_ids(keys.values())
        rows = PlanRows()
        classes: dict[str, None] = {}
        records, used = sample_tables(listing, rows)
        for path in images:
            parts, time = name_times(path, pattern)
            sample = escape_id(parts.id) if parts.id else ids[keys[path]]
            record = records.get(sample.lower()) or records.get(keys[path].lower(), Record())
            labels = _labels(parts.label or PurePosixPath(path).parent.name, record)
            classes |= dict.fromkeys(labels)
            if record.time is None and time is not None:
                rows.timed_by_name.append(sample)
            acquired = record.time or time
            rows.samples.append(
                record.columns()
                | {"id": sample, "href": path, "label": labels or None}
                | ({"group": parts.group} if parts.group else {})
                | (acquired.columns() if acquired else {})
            )
            rows.raster(sample, "image", path)
            if not labels:
                rows.warn(
                    "missing-label",
                    f"{path!r} lies in no class folder",
                    fix="move it into the folder of its class",
                    sample=sample,
                    file=path,
                )
        rows.findings += ignored_files(listing, {*images, *used})
        return rows.plan(
            task=options.task or "classification", classes=options.classes or sorted(classes)
        )


def _is_no_class(folder: str) -> bool:
    return is_role(folder) or is_subset_word(folder)


def _is_counted(path: str) -> bool:
    # GeoTIFFs that are counted may as well be the steps of a time series.
    return suffix(path) not in TIFF_SUFFIXES and bool(_NUMBERED.fullmatch(PurePosixPath(path).stem))


def _labels(folder: str, record: Record) -> list[str]:
    """Return the classes that a folder stands for; a table may say that they are several.

    Where there is no folder, the table alone says them.
    """
    says_nothing = not folder or is_subset_word(folder)
    if record.label and (says_nothing or folder == "+".join(record.label)):
        return list(record.label)
    return [] if says_nothing else [folder]


def _by_folder(images: list[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for path in images:
        parent = PurePosixPath(path).parent
        folders["" if parent == PurePosixPath() else str(parent)].append(path)
    return folders
