"""Layers by name, as commands and jobs are asked for them: ``biome=zones@v1#category``."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from registry.curate.layers.datasets import ShapeLayer, layer_of
from registry.curate.layers.rasters import RasterLayer
from registry.curate.layers.strata import STRATA, Lookup
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["carried", "layer_words", "layers_of", "pinned"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_TAKEN: Final = frozenset({"all", "id", "lat", "lon", "weight"})
_HINT: Final = "write NAME=DATASET@VERSION, with #COLUMN or #ASSET behind it where it has several"


def layer_words(words: Iterable[str]) -> dict[str, str]:
    """Return layers that were typed as ``name=dataset@version#part``.

    Raises:
        InvalidInputError: One is written in another way, or a name is given twice.

    Examples:
        >>> layer_words(["biome=zones@v1#category"])
        {'biome': 'zones@v1#category'}
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, ref = word.partition("=")
        if not sign or not ref:
            raise InvalidInputError(f"{word!r} is no layer", hint=_HINT)
        if name in found:
            raise InvalidInputError(f"layer '{name}' is given twice", hint="give each one once")
        found[name] = ref
    return found


def layers_of(registry: "Registry", asked: Mapping[str, "str | Lookup"]) -> dict[str, Lookup]:
    """Return layers by their names.

    Args:
        registry: Where datasets are.
        asked: By the stratum's name, a layer at hand or a dataset's version: with ``#`` and a
            raster asset, or the column that names the classes of its shapes, behind it. Without,
            what its annotations, labels or first property say, else its only raster asset.

    Returns:
        Look-ups in the order of their names.

    Raises:
        InvalidInputError: A name is no stratum of place, or a version is no layer.
        NotFoundError: There is no such version.
    """
    found: dict[str, Lookup] = {}
    for name, one in sorted(asked.items()):
        _check(name)
        found[name] = _named(registry, name, one) if isinstance(one, str) else one
    return found


def pinned(registry: "Registry", asked: Mapping[str, str]) -> dict[str, str]:
    """Return the same layers with the tag or commit that each version stands at now.

    Raises:
        NotFoundError: There is no such version.
    """
    found = {}
    for name, said in asked.items():
        ref, sign, part = said.partition("#")
        version = registry.resolve(ref)
        found[name] = f"{version.dataset}@{version.tag or version.commit.id}{sign}{part}"
    return found


def carried(layers: Mapping[str, Lookup]) -> dict[str, Lookup]:
    """Return layers that need no lake: what they say, ready to travel to executors.

    Raises:
        InvalidInputError: One has too much to say to be sent around.
    """
    return {
        name: one.carried() if isinstance(one, ShapeLayer | RasterLayer) else one
        for name, one in layers.items()
    }


def _check(name: str) -> None:
    stratum = STRATA.get(name)
    if stratum is not None and stratum.kind != "place":
        raise InvalidInputError(
            f"'{name}' is told from the samples, not from a layer",
            hint="take biome, elevation, or a name of your own",
        )
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise InvalidInputError(
            f"{name!r} is no name for a layer",
            hint="take lower-case letters, digits, - and _, such as biome",
        )


def _named(registry: "Registry", name: str, said: str) -> Lookup:
    ref, _, part = said.partition("#")
    version = registry.resolve(ref)
    rasters = _rasters(version)
    if part in rasters:
        return layer_of(version, name=name, asset=part)
    if not part and len(rasters) == 1 and not _has_classes(version):
        return layer_of(version, name=name, asset=rasters[0])
    return layer_of(version, name=name, column=part or None)


def _rasters(version: "Version") -> list[str]:
    if "assets" not in version.tables_published():
        return []
    rows = version.table("assets", ["asset", "pixels", "crs"])
    there = pc.and_(pc.is_valid(rows["pixels"]), pc.is_valid(rows["crs"]))
    return sorted(pc.unique(rows["asset"].filter(there)).to_pylist())


def _has_classes(version: "Version") -> bool:
    if "annotations" in version.tables_published() and version.count("annotations"):
        return True
    labels = version.table("samples", ["label"])["label"]
    return bool(pc.any(pc.greater(pc.fill_null(pc.list_value_length(labels), 0), 0)).as_py())
