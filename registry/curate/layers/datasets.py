"""Layers out of a lake: datasets whose shapes have classes, or whose rasters have values."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from shapely.geometry.base import BaseGeometry

from registry.curate.layers.acquired import ELEVATIONS, PEOPLE, Bands
from registry.curate.layers.polygons import Polygons
from registry.curate.layers.rasters import RasterLayer
from registry.curate.layers.reference import Reference
from registry.errors import InvalidInputError
from registry.geo import to_crs84

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["ClassedShapes", "ShapeLayer", "layer_of"]

_LABEL: Final = "label"
_CATEGORY: Final = "category"
_BANDS: Final = {"elevation": ELEVATIONS, "population": PEOPLE}


@dataclass(frozen=True, kw_only=True)  # no slots: shapes are decoded once, when asked
class ClassedShapes:
    """Shapes with classes at hand, as :class:`registry.curate.layers.strata.Lookup` wants them.

    Plain values, so that it travels to executors.
    """

    reference: Reference
    """Where they come from."""

    names: tuple[str, ...] = field(repr=False)
    """The class of each."""

    shapes: tuple[bytes, ...] = field(repr=False)
    """WKB in OGC:CRS84, in the order of their ids."""

    def classes(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> pa.DictionaryArray:
        """Return the class of the first shape that each point lies in; null outside all."""
        codes = self._polygons.at(lon, lat)
        names, places = self._places
        inside = codes >= 0
        indices = pa.array(places[np.where(inside, codes, 0)] if len(places) else codes,
                           pa.int32(), mask=~inside)  # fmt: skip
        return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))

    @cached_property
    def _polygons(self) -> Polygons:
        return Polygons(name="shapes", reference=self.reference, read=self._decoded)

    @cached_property
    def _places(self) -> tuple[list[str], npt.NDArray[np.int32]]:
        names = sorted(set(self.names))
        place = {name: i for i, name in enumerate(names)}
        return names, np.array([place[name] for name in self.names], np.int32)

    def _decoded(self) -> Sequence[BaseGeometry]:
        return list(shapely.from_wkb(np.array(self.shapes, object)))


@dataclass(frozen=True, kw_only=True)  # no slots: shapes are read once, when asked
class ShapeLayer:
    """Classes of shapes, as :class:`registry.curate.layers.strata.Lookup` wants them."""

    reference: Reference
    """Where it comes from."""

    version: "Version" = field(repr=False)
    """The dataset."""

    column: str
    """What names the classes: ``category`` of annotations, ``label``, or a property of samples."""

    def classes(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> pa.DictionaryArray:
        """Return the class of the first shape by id that each point lies in; null outside all."""
        return self._shapes.classes(lon, lat)

    def carried(self) -> ClassedShapes:
        """Return it without the lake: what it says, at hand and ready to travel."""
        return replace(self._shapes)  # without what it has found out so far

    @cached_property
    def _shapes(self) -> ClassedShapes:
        read = _annotated if self.column == _CATEGORY else _sampled
        found = read(self.version, self.column)
        if not found:
            raise InvalidInputError(
                f"{self.version.ref} has no shape with a class in '{self.column}'",
                hint="name the column that holds the classes",
            )
        return ClassedShapes(
            reference=self.reference,
            names=tuple(name for name, _ in found),
            shapes=tuple(shapely.to_wkb([shape for _, shape in found])),
        )


def layer_of(
    version: "Version",
    *,
    name: str = "layer",
    column: str | None = None,
    asset: str | None = None,
    bands: Bands | None = None,
) -> "ShapeLayer | RasterLayer":
    """Return a dataset of type ``reference`` as a layer.

    Args:
        version: The dataset; shapes in ``annotations`` or footprints of samples in degrees, or
            rasters.
        name: The layer's: ``biome``, ``elevation``, ``population`` …
        column: What names the classes of shapes: ``category`` (of annotations), ``label`` or a
            property of samples; by default the first of these that it has.
        asset: Raster asset whose values are looked up; with it ``column`` is left out.
        bands: Intervals that a raster's numbers are sorted into; by default those of elevation
            or population for a layer of that name, else the card says what each value means.

    Returns:
        A layer; ``classes(lon, lat)`` is what strata ask for, a raster also has
        ``values(lon, lat)``.

    Raises:
        InvalidInputError: It has no such column or asset, or nothing that names classes.
    """
    if asset is None:
        column = _class_column(version, column)
    elif bands is None:
        bands = _BANDS.get(name)
    tables = ["samples", *(one for one in ("annotations", "assets", "pixels")
                           if one in version.tables_published())]  # fmt: skip
    said = version.spec.assets.get(asset) if asset else None
    decided_by = (
        column, asset, bands and (bands.edges, bands.labels),
        said and (said.scale, said.offset, sorted(said.values.items())),
    )  # fmt: skip
    reference = Reference(
        name=name,
        title=version.spec.title or version.dataset,
        version=str(version.ref),
        source=", ".join(one.name for one in version.spec.providers) or version.dataset,
        licence=str(version.spec.licence or "not stated"),
        digest=sha256(f"{version.content_id_of(*tables)} {decided_by}".encode()).hexdigest(),
    )
    if asset is not None:
        if asset not in version.spec.assets and not _has_asset(version, asset):
            raise InvalidInputError(
                f"{version.ref} has no asset '{asset}'",
                hint=f"it has {', '.join(version.spec.assets) or 'none'}",
            )
        return RasterLayer(reference=reference, version=version, asset=asset, bands=bands)
    return ShapeLayer(reference=reference, version=version, column=column or _LABEL)


def _has_asset(version: "Version", asset: str) -> bool:
    if "assets" not in version.tables_published():
        return False
    return any(
        pc.any(pc.equal(batch["asset"], asset)).as_py()
        for batch in version.scan("assets", columns=["asset"])
    )


def _class_column(version: "Version", asked: str | None) -> str:
    schema = version.scan("samples").schema
    properties = (
        [one.name for one in schema.field("properties").type if pa.types.is_string(one.type)]
        if "properties" in schema.names
        else []
    )
    offered = [*([_CATEGORY] if version.count("annotations") else []), _LABEL, *properties]
    if asked is None:
        return _first_said(version, offered)
    if asked not in offered:
        raise InvalidInputError(
            f"{version.ref} has no classes in '{asked}'", hint=f"name one of {', '.join(offered)}"
        )
    return asked


def _first_said(version: "Version", offered: Sequence[str]) -> str:
    if offered[0] == _CATEGORY:
        return _CATEGORY
    said = version.table("samples", ["label"])["label"]
    if pc.any(pc.greater(pc.fill_null(pc.list_value_length(said), 0), 0)).as_py():
        return _LABEL
    if len(offered) > 1:
        return offered[1]
    raise InvalidInputError(
        f"nothing in {version.ref} names a class of its shapes",
        hint="label them, or give each a property that does; a raster layer needs its asset's name",
    )


def _sampled(version: "Version", column: str) -> list[tuple[str, BaseGeometry]]:
    columns = ["id", "geometry", "label" if column == _LABEL else "properties"]
    rows = version.table("samples", columns).sort_by("id")
    if column == _LABEL:
        labels = rows["label"].to_pylist()
        names = [label[0] if label else None for label in labels]
    else:
        names = pc.struct_field(rows["properties"], [column]).to_pylist()
    shapes = shapely.from_wkb(rows["geometry"].to_numpy(), on_invalid="ignore")
    return [
        (name, shape) for name, shape in zip(names, shapes, strict=True)
        if name and shape is not None and shape.area > 0
    ]  # fmt: skip


def _annotated(version: "Version", column: str) -> list[tuple[str, BaseGeometry]]:
    systems = _systems(version)
    wanted = ["id", "sample", "geometry", "frame", column, "status"]
    rows = version.table("annotations", wanted).sort_by("id").to_pylist()
    found = []
    for row in rows:
        shape = shapely.from_wkb(row["geometry"], on_invalid="ignore")
        if not row[column] or row["frame"] != "crs" or row["status"] == "rejected":
            continue
        if shape is not None and shape.area > 0:
            found.append((row[column], to_crs84(shape, systems.get(row["sample"], "OGC:CRS84"))))
    return found


def _systems(version: "Version") -> dict[str, str]:
    """Return the CRS that each sample's annotations are in: that of its first placed asset."""
    if "assets" not in version.tables_published():
        return {}
    columns = ["sample", "asset", "crs", "transform"]
    rows: list[dict[str, Any]] = version.table("assets", columns).to_pylist()
    found: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row["transform"] is None, row["asset"])):
        if row["crs"]:
            found.setdefault(row["sample"], row["crs"])
    return found
