"""The set ``spectral``: named indices of optical bands, and how their values are spread.

An index is computed for every pixel of every time step and then summed up over those that were
observed and, where the sample says where it is clear, clear. A pixel whose index is divided by
zero counts as not observed. Indices that stay the same when all bands are multiplied by one number
need no unit; all others need reflectance, and are null where the card does not declare it (see
:func:`registry.curate.features.bands.reflectance_factor`).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.bands import OPTICAL, RADAR
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import MissingInputError, Scene
from registry.curate.features.sets.spectral_formulas import (
    Index,
    Program,
    compiled,
    indices,
    package_version,
)
from registry.curate.features.sets.spectral_views import View, views
from registry.curate.features.sets.spread import LEAST_SHARE, spread

__all__ = ["INDICES", "SPECTRAL", "index_values"]

Floats = npt.NDArray[np.float32]

_PROBABILITIES: Final = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_STATISTICS: Final = {
    "mean": "Mean", "std": "Standard deviation", "p10": "10th percentile", "p50": "Median",
    "p90": "90th percentile",
}  # fmt: skip

# By what they tell apart. Left out: those that repeat one of these under another name, need a
# sensor's wavelengths or surface temperature, or powers that processors round differently.
_VEGETATION: Final = (
    "NDVI", "GNDVI", "BNDVI", "EVI", "EVI2", "SAVI", "MSAVI", "OSAVI", "ARVI", "GARI", "SARVI",
    "VARI", "NIRv", "DVI", "SR", "MSR", "RDVI", "NLI", "GEMI", "WDRVI", "CIG", "CVI", "NDYI",
    "ENDVI", "NDPI", "MTVI2", "AFRI1600", "AFRI2100", "SLAVI",
)  # fmt: skip
_COLOUR: Final = ("GLI", "NGRDI", "TGI", "ExG", "ExR", "RGBVI", "IKAW", "RCC", "GCC", "BCC")
_RED_EDGE: Final = (
    "CIRE", "NDREI", "RENDVI", "VI700", "MTCI", "MCARI", "TCARI", "IRECI", "S2REP", "PSRI", "SIPI",
    "SeLI", "NDCI",
)  # fmt: skip
_WATER: Final = (
    "NDWI", "MNDWI", "NDMI", "NMDI", "GVMI", "MSI", "AWEInsh", "AWEIsh", "MBWI", "WI2015", "WRI",
    "ANDWI", "NWI", "MuWIR", "SWM", "NDTI",
)  # fmt: skip
_OTHER: Final = (
    "NDSI", "NDSInw", "S3", "SWI", "NBR", "NBR2", "NBRSWIR", "NBRplus", "BAI", "BAIS2", "MIRBI",
    "CSI", "NDBI", "IBI", "BLFEI", "VIBI", "NBAI", "BI", "DBSI", "MBI", "EMBI", "NDSoI", "BITM",
    "CI2woSWIR",
)  # fmt: skip

# As the papers have them, where the catalogue's default serves another index.
_CONSTANTS: Final[Mapping[str, Mapping[str, float]]] = {
    "SAVI": {"L": 0.5}, "SARVI": {"L": 0.5}, "NDPI": {"alpha": 0.74}, "IBI": {"L": 0.5},
}  # fmt: skip
_UNITS: Final = {"S2REP": "nm"}

INDICES: Final[tuple[Index, ...]] = indices({
    name: _CONSTANTS.get(name, {})
    for name in (*_VEGETATION, *_COLOUR, *_RED_EDGE, *_WATER, *_OTHER)
})
"""The indices of the set, with their formulas."""

_COLUMNS: Final = tuple(
    tuple(f"{index.name.lower()}_{statistic}" for statistic in _STATISTICS) for index in INDICES
)
_SHARED_UP_TO: Final = 2**20  # pixels; above, parts of formulas are not kept for the next one


def index_values(name: str, bands: Mapping[str, Floats]) -> Floats:
    """Return an index of the set for each pixel.

    Args:
        name: Such as ``NDVI``.
        bands: By common letter, of one shape; reflectance, unless the index is scale-free.

    Returns:
        Of the bands' shape; not finite where it is divided by zero.

    Raises:
        MissingInputError: A band is not there.

    Examples:
        >>> index_values("NDVI", {"N": np.float32([0.4]), "R": np.float32([0.1])})
        array([0.6], dtype=float32)
    """
    (index,) = (one for one in INDICES if one.name == name)
    if lacking := [letter for letter in index.bands if letter not in bands]:
        raise MissingInputError(
            f"{name} needs bands {' '.join(index.bands)}, and {lacking[0]} is not there",
            hint="name the bands in the card",
        )
    return next(iter(compiled((index.tree,)).run(bands)))[1]


def spectral(scene: Scene) -> dict[str, object]:
    """Return statistics of the indices of one sample.

    Args:
        scene: With one optical array at least. Arrays of one sensor are taken together (see
            :func:`registry.curate.features.sets.spectral_views.views`); of several sensors, the
            one that serves most indices counts.

    Raises:
        MissingInputError: No index can be computed from what is there, or too few pixels were
            observed and clear.
    """
    view = _best(scene)
    clear = view.base.clear
    valid = view.valid
    chosen = valid if clear is None else valid & clear
    total = int(valid.sum())
    found: dict[str, object] = {
        "bands": " ".join(letter for letter in OPTICAL if letter in view.bands),
        "reflectance": view.factor is not None,
        "valid_share": total / valid.size,
    }
    if clear is not None and total:
        found["clear_share"] = int(chosen.sum()) / total
    places = _computable(frozenset(view.bands), view.factor is not None)
    bands = _pixels(view, places, whole=bool(chosen.all()))
    _refuse_few(chosen, bands)
    scratch = np.empty(2 * next(iter(bands.values())).size, np.float32)
    for ready, values in _run(places, bands):
        figures = spread(values, tuple(_PROBABILITIES.values()), scratch)
        if figures is not None:
            for place in ready:
                found.update(zip(_COLUMNS[place], figures, strict=True))
    return found


def _refuse_few(chosen: npt.NDArray[np.bool_], bands: Mapping[str, Floats]) -> None:
    """Refuse a sample of which nearly nothing is to be seen.

    Raises:
        MissingInputError: No band has enough pixels.
    """
    least = LEAST_SHARE * chosen.size
    if chosen.size and int(chosen.sum()) >= least:
        return
    if max(int(np.isfinite(values).sum()) for values in bands.values()) < max(least, 1):
        raise MissingInputError(
            f"less than {LEAST_SHARE:.0%} of its pixels were observed and clear",
            hint="look at the sample, its nodata value and its mask of clouds",
        )


def _best(scene: Scene) -> View:
    """Return the view that serves most indices, the first of equals.

    Raises:
        MissingInputError: None serves any.
    """
    there = views(scene)
    served = [_computable(frozenset(one.bands), one.factor is not None) for one in there]
    most = max(map(len, served), default=0)
    if most:
        return there[[len(one) for one in served].index(most)]
    known = " ".join(sorted({letter for one in there for letter in one.bands}))
    named = {letter for one in scene.layers for letter in one.common if letter is not None}
    if named and named <= {*RADAR}:
        raise MissingInputError(
            "no index can be computed from radar bands alone",
            hint="the set radar looks at them: --set radar",
        )
    raise MissingInputError(
        f"no index can be computed from {f'bands {known}' if known else 'bands without names'}",
        hint="name bands and sensor in the card, as in bands: [B02, B03, B04, B08]; and say the"
        " unit and scale where values are reflectance",
    )


def _pixels(view: View, places: tuple[int, ...], *, whole: bool) -> dict[str, Floats]:
    """Return the bands' values in a row, where it is clear; NaN where one was not observed."""
    used = {letter for place in places for letter in INDICES[place].bands}
    keep = None if whole else view.base.clear
    factor = np.float32(1 if view.factor is None else view.factor)
    found = {}
    for letter in sorted(used):
        band = view.band(letter)
        row = band.reshape(-1) if keep is None else band[keep]
        found[letter] = row if factor == 1 else row * factor
    if whole:
        return found
    seen = np.logical_or.reduce([~np.isnan(row) for row in found.values()])
    return found if seen.all() else {letter: row[seen] for letter, row in found.items()}


def _run(
    places: tuple[int, ...], bands: Mapping[str, Floats]
) -> Iterable[tuple[list[int], Floats]]:
    """Yield indices' places among all and their values."""
    if next(iter(bands.values())).size <= _SHARED_UP_TO:
        parts: tuple[tuple[int, ...], ...] = (places,)
    else:
        parts = tuple((place,) for place in places)
    for part in parts:
        for ready, values in _program(part).run(bands):
            yield [part[place] for place in ready], values


@lru_cache(maxsize=512)
def _program(places: tuple[int, ...]) -> Program:
    return compiled(tuple(INDICES[place].tree for place in places))


@lru_cache(maxsize=512)
def _computable(letters: frozenset[str], reflectance: bool) -> tuple[int, ...]:  # noqa: FBT001 — a cache's key
    return tuple(
        place
        for place, index in enumerate(INDICES)
        if letters.issuperset(index.bands) and (reflectance or index.scale_free)
    )


def _features() -> list[Feature]:
    source = f"spyndex {package_version()}"
    return [
        Feature(
            name=column,
            meaning=f"{meaning} of the {index.title} over observed, clear pixels of all times",
            formula=f"{statistic}({index.formula}){_valued(index.constants)}",
            source=f"{index.reference} ({source}, {index.name})",
            unit=_UNITS.get(index.name, "1"),
            bands=index.bands,
        )
        for index, columns in zip(INDICES, _COLUMNS, strict=True)
        for column, (statistic, meaning) in zip(columns, _STATISTICS.items(), strict=True)
    ]


def _valued(constants: Mapping[str, float]) -> str:
    said = ", ".join(f"{name} = {value:g}" for name, value in constants.items())
    return f", {said}" if said else ""


def _about() -> list[Feature]:
    import pyarrow as pa

    def one(name: str, kind: Any, meaning: str, formula: str) -> Feature:  # noqa: ANN401 — an Arrow type
        return Feature(name=name, type=kind, meaning=meaning, formula=formula, source="the lab")

    return [
        one("bands", pa.string(), "Bands that were known, by their common letters", "card"),
        one("reflectance", pa.bool_(), "Whether the card declares reflectance", "card"),
        one("valid_share", pa.float64(), "Share of pixels of all times whose bands were all"
            " observed", "observed / all"),
        one("clear_share", pa.float64(), "Share of those that are clear; null where nobody says",
            "clear / observed"),
    ]  # fmt: skip


SPECTRAL: Final = FeatureSet(
    name="spectral",
    version=2,
    title=f"{len(INDICES)} spectral indices: mean, spread and percentiles over clear pixels",
    features=(*_about(), *_features()),
    needs=Needs(arrays=True, any_band=OPTICAL),
    by_scene=spectral,
    parameters={
        "percentiles": dict(_PROBABILITIES),
        "constants": {index.name: dict(index.constants) for index in INDICES if index.constants},
    },
    made_of=(
        "registry.curate.features.alignment",
        "registry.curate.features.bands",
        "registry.curate.features.clear",
        "registry.curate.features.sets.spectral_formulas",
        "registry.curate.features.sets.spectral_views",
        "registry.curate.features.sets.spread",
    ),
)
"""Statistics of spectral indices."""
