"""Images with masks: pairs by folder, ending or name, with footprints in GeoJSON where present."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from registry.catalog.card.spec import AssetSpec
from registry.curate.formats.contract import Listing, Plan, SourceOptions
from registry.curate.formats.filenames import escape_id, sample_ids
from registry.curate.formats.geojson import read_labels
from registry.curate.formats.layout import Layout, images_first, layout_of
from registry.curate.formats.planning import (
    PlanRows,
    ignored_files,
    name_times,
    pattern_of,
    rasters,
    suffix,
)
from registry.curate.formats.records import SIDECAR_LIMIT, Record, sample_tables
from registry.curate.formats.roles import asset_name, is_mask_word, without_mask_word
from registry.errors import RejectedError

__all__ = ["ImageMask"]

_SURE: Final = 0.9


class ImageMask:
    """Every image has a raster of labels beside it, and perhaps further images and footprints.

    Known are ``post_fire/a.tif`` with ``masks/a.tif``, ``a_merged.tif`` with ``a.mask.tif``,
    ``a_S2Hand.tif`` with ``a_LabelHand.tif``, and ``a/aerial.tif`` with ``a/mask.tif``.

    References:
        Bonafilia et al. (2020), Sen1Floods11, doi:10.1109/CVPRW50498.2020.00113 (the endings).
    """

    name = "image-mask"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: the share of samples that have both an image and a mask."""
        layout = layout_of(rasters(listing))
        return _SURE * layout.pairs / len(layout.files) if layout else 0.0

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample a pair; halves of pairs are kept, with a finding each.

        Returns:
            The plan: asset ``mask`` of role ``labels``, the images by what tells them apart
            (``image`` if nothing does), task segmentation, footprints as annotations.

        Raises:
            RejectedError: There is no pair.
        """
        layout = layout_of(rasters(listing))
        if layout is None:
            raise RejectedError(
                f"no image in {listing.name!r} has a mask",
                hint="name masks like images, in a folder 'masks' or with '_mask' at the end",
            )
        rows = PlanRows()
        ids = _ids(layout, options, listing.name)
        assets = _asset_names(layout)
        records, used = sample_tables(listing, rows)
        labels = _label_files(listing, layout)
        for key, roles in layout.files.items():
            sample = ids[key]
            files = {assets[role]: roles[role] for role in assets if role in roles}
            rows.samples.append(_sample_row(rows, sample, key, files, options, records))
            for asset, path in files.items():
                rows.raster(sample, asset, path)
            _check_pair(rows, sample, files)
            if labels:
                _annotate(rows, listing, labels.get(key), sample, options)
        used |= {path for roles in layout.files.values() for path in roles.values()}
        rows.findings += ignored_files(listing, used | set(labels.values()))
        return rows.plan(
            task=options.task or "segmentation",
            classes=_classes(rows, options),
            specs={
                asset: AssetSpec(role="labels")
                for role, asset in assets.items()
                if is_mask_word(role)
            },
        )


def _classes(rows: PlanRows, options: SourceOptions) -> tuple[str, ...]:
    if options.classes:
        return options.classes
    return tuple(sorted({str(row["category"]) for row in rows.annotations if row["category"]}))


def _ids(layout: Layout, options: SourceOptions, source: str) -> dict[str, str]:
    pattern = pattern_of(options)
    ids = sample_ids(layout.files)
    if "." in ids:  # image.tif and mask.tif in the source itself: it is the sample
        ids["."] = escape_id(source)
    if pattern is not None:
        for key in ids:
            parts = pattern.match(key)
            ids[key] = escape_id(parts.id) if parts and parts.id else ids[key]
    return ids


def _asset_names(layout: Layout) -> dict[str, str]:
    """Return each role's asset name, images first, different roles kept apart."""
    names: dict[str, str] = {}
    for role in images_first(layout):
        name = asset_name(role)
        taken = set(names.values())
        plain = role.strip("._-") or name
        names[role] = next(
            one for one in (name, plain, *(f"{name}-{n}" for n in range(2, 99))) if one not in taken
        )
    return names


def _sample_row(
    rows: PlanRows,
    sample: str,
    key: str,
    files: Mapping[str, str],
    options: SourceOptions,
    records: Mapping[str, Record],
) -> dict[str, object]:
    parts, named = name_times(key, pattern_of(options))
    record = records.get(PurePosixPath(key).name.lower(), Record())
    if record.time is None and named is not None:
        rows.timed_by_name.append(sample)
    time = record.time or named
    return {
        "id": sample,
        "group": parts.group,
        "href": next(iter(files.values())),
        **record.columns(),
        **(time.columns() if time else {}),
        "geometry": None,  # the images say it to the pixel
    }


def _check_pair(rows: PlanRows, sample: str, files: Mapping[str, str]) -> None:
    masks = [asset for asset in files if is_mask_word(asset)]
    if len(masks) == len(files):
        lacking, has = "image", files[masks[0]]
    elif not masks:
        lacking, has = "mask", next(iter(files.values()))
    else:
        return
    rows.warn(
        "missing-pair",
        f"{has!r} has no {lacking}",
        fix=f"add the {lacking}, or remove {has!r}",
        sample=sample,
        asset=lacking,
        file=has,
    )


def _label_files(listing: Listing, layout: Layout) -> dict[str, str]:
    """Return the GeoJSON of each sample that has one, by sample key."""
    by_name: dict[str, str] = {}
    for path in listing.files:
        if suffix(path) == ".geojson":
            name = PurePosixPath(path).stem
            by_name[without_mask_word(name) or name] = path
    return {
        key: by_name[name] for key in layout.files if (name := PurePosixPath(key).name) in by_name
    }


def _annotate(
    rows: PlanRows, listing: Listing, path: str | None, sample: str, options: SourceOptions
) -> None:
    if path is None:
        rows.warn(
            "missing-pair",
            f"sample {sample!r} has no label file, though others have one",
            fix="add its GeoJSON, with no features if there is nothing to see",
            sample=sample,
            asset="labels",
        )
        return
    add_labels(rows, listing, path, sample=sample, options=options)


def add_labels(
    rows: PlanRows, listing: Listing, path: str, *, sample: str, options: SourceOptions
) -> frozenset[str]:
    """Add the annotations of a GeoJSON file; what is wrong with it becomes findings.

    Args:
        rows: Takes them.
        listing: The source.
        path: The file.
        sample: Whose annotations they are.
        options: A single class names what files leave unnamed; detection keeps boxes only.

    Returns:
        Tasks that the file says its labels are for.
    """
    fix = "mend the label file and ingest again"
    try:
        labels = read_labels(
            listing.read(path, limit=SIDECAR_LIMIT),
            sample=sample,
            category=options.classes[0] if len(options.classes) == 1 else None,
            boxes=options.task == "detection",
        )
    except RejectedError as error:
        rows.warn("bad-sidecar", f"{path!r}: {error.problem}", fix=fix, sample=sample, file=path)
        return frozenset()
    rows.annotations += labels.annotations
    for problem in labels.problems:
        rows.warn("bad-sidecar", f"{path!r}: {problem}", fix=fix, sample=sample, file=path)
    return labels.tasks
