"""The set ``radar``: backscatter, its speckle, what polarisations say together, and its stability.

Backscatter is taken as power (sigma or gamma nought, linear) whichever way it was stored; what is
in decibels is turned into power before anything is averaged. A dataset that does not say which of
the two it holds gets no values, because both look alike. Power of zero or less, and decibels
beyond 100, are no backscatter: they count as not observed. A polarisation that was observed in less
than 1 % of the pixels has no values, and a sample without any other gets its reason instead.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.bands import RADAR as POLARISATIONS
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.radar_speckle import SIZE, lee_filtered, looks
from registry.curate.features.sets.spread import LEAST_SHARE, spread

__all__ = ["RADAR", "backscatter", "radar"]

Floats = npt.NDArray[np.float32]

_DECIBELS: Final = frozenset({"db", "decibel", "decibels", "dbsm"})
_POWER: Final = frozenset({
    "1", "linear", "power", "linear power", "intensity", "sigma0", "gamma0", "beta0",
    "sigma nought", "gamma nought", "m2/m2", "m^2/m^2",
})  # fmt: skip
_AMPLITUDE: Final = frozenset({"amplitude", "linear amplitude"})
_MOST_DB: Final = 100.0
_LOOKS: Final = 4.4  # Sentinel-1 IW GRD in high resolution
_PROBABILITIES: Final = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_SPREAD: Final = ("mean", "std", *_PROBABILITIES)
_TO_LOG: Final = np.log(10.0) / 10
_ENOUGH: Final = 3  # pixels, for a correlation


def radar(scene: Scene) -> dict[str, object]:
    """Return radar features of one sample.

    Args:
        scene: With an array that has a band ``VV``, ``VH``, ``HH`` or ``HV``. Arrays of one shape
            and time are taken together; of several such groups, the one with most polarisations
            counts, the first of equals.

    Raises:
        MissingInputError: There is no such band, nobody says its unit, or too few pixels were
            observed.
    """
    every = {letter: backscatter(layer, letter) for letter, layer in _bands(scene).items()}
    shares = {letter: _observed_share(values) for letter, values in every.items()}
    power = {letter: every[letter] for letter in every if shares[letter] >= LEAST_SHARE}
    if not power:
        raise MissingInputError(
            f"less than {LEAST_SHARE:.0%} of its pixels hold backscatter",
            hint="look at the sample: perhaps its values were spoilt when they were stored",
        )
    decibels = {letter: _decibels(values) for letter, values in power.items()}
    found: dict[str, object] = {
        "polarisations": " ".join(power),
        "valid_share": float(np.mean([*shares.values()])),
    }
    for letter, values in power.items():
        name = letter.lower()
        found |= _spread(f"{name}_db", decibels[letter])
        found |= _speckle(name, values)
        found |= _stability(name, decibels[letter])
    return found | _together(power, decibels)


def backscatter(layer: Layer, letter: str) -> Floats:
    """Return a band's backscatter as power, whatever it is stored as.

    Args:
        layer: Its ``unit`` is ``dB``, ``linear`` or ``amplitude``; or the band's name has ``db``.
        letter: ``VV``, ``VH``, ``HH`` or ``HV``.

    Returns:
        Above 0, shape ``(time, y, x)``; NaN where nothing was observed.

    Raises:
        MissingInputError: Nobody says its unit, or there is no such band.

    Examples:
        >>> layer = Layer(asset="s1", raw=np.float32([[[[-10, 0, 10]]]]), common=("VV",), unit="dB")
        >>> backscatter(layer, "VV")
        array([[[ 0.1,  1. , 10. ]]], dtype=float32)
    """
    values = layer.band(letter)
    unit = " ".join((layer.unit or "").lower().replace("_", " ").split())
    named = layer.bands[layer.common.index(letter)].lower() if layer.bands else ""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if unit in _DECIBELS or (not unit and named.endswith("db")):
            exact = np.exp(values.astype(np.float64) * _TO_LOG)
            return np.where(np.abs(values) <= _MOST_DB, exact, np.nan).astype(np.float32)
        if unit in _AMPLITUDE:
            return _positive(values * np.abs(values))
        if unit in _POWER:
            return _positive(values)
    raise MissingInputError(
        f"asset '{layer.asset}' does not say whether backscatter is power or decibels"
        + (f": its unit is {layer.unit!r}" if unit else ""),
        hint="say it in the card: unit: dB, unit: linear or unit: amplitude",
    )


def _observed_share(power: Floats) -> float:
    return float(np.isfinite(power).mean()) if power.size else 0.0


def _positive(values: Floats) -> Floats:
    least, most = 10 ** (-_MOST_DB / 10), 10 ** (_MOST_DB / 10)
    return np.where((values >= least) & (values <= most), values, np.float32(np.nan))


def _decibels(power: Floats) -> Floats:
    exact: Floats = (np.log(power.astype(np.float64)) / _TO_LOG).astype(np.float32)
    return exact


def _bands(scene: Scene) -> dict[str, Layer]:
    groups: dict[tuple[object, ...], dict[str, Layer]] = {}
    for layer in scene.layers:
        there = [letter for letter in POLARISATIONS if letter in layer.common]
        if layer.role == "data" and there:
            time, _, *size = layer.raw.shape
            bands = groups.setdefault((time, *size, layer.times), {})
            bands |= {letter: layer for letter in there if letter not in bands}
    if not groups:
        raise MissingInputError(
            "it has no radar band",
            hint="name polarisations in the card, as in bands: [VV, VH]",
        )
    best = max(groups.values(), key=len)
    return {letter: best[letter] for letter in POLARISATIONS if letter in best}


# -------------------------------------------------------------------------------- one polarisation
def _spread(name: str, values: Floats) -> dict[str, float]:
    figures = spread(values.reshape(-1), tuple(_PROBABILITIES.values()))
    if figures is None:
        return {}
    return {f"{name}_{one}": figure for one, figure in zip(_SPREAD, figures, strict=True)}


def _speckle(name: str, power: Floats) -> dict[str, float]:
    found: dict[str, float] = {}
    if (figures := spread(power.reshape(-1), ())) is not None:
        mean, deviation = figures
        found |= {f"{name}_mean": mean, f"{name}_cv": deviation / mean}
    if (seen := looks(power)) is not None:
        found[f"{name}_looks"] = seen
    filtered = lee_filtered(power, looks=_LOOKS)
    if (figures := spread(filtered.reshape(-1), ())) is not None:
        found[f"{name}_lee_cv"] = figures[1] / figures[0]
        lee = _spread(f"{name}_lee_db", _decibels(filtered))
        found |= {one: value for one, value in lee.items() if not one.endswith("_mean")}
    return found


def _stability(name: str, decibels: Floats) -> dict[str, float]:
    """Return how alike one time step is to the next, and how much a pixel changes."""
    steps = len(decibels)
    if steps == 1:
        return {}
    found: dict[str, float] = {}
    alike = [one for pair in pairwise(decibels) if (one := _correlation(*pair)) is not None]
    if alike:
        found[f"{name}_temporal_correlation"] = float(np.mean(alike))
    whole = decibels[:, np.isfinite(decibels).all(axis=0)].astype(np.float64)
    if whole.size:
        found[f"{name}_temporal_std_db"] = float(whole.std(axis=0).mean())
    return found


def _correlation(first: Floats, second: Floats) -> float | None:
    both = np.isfinite(first) & np.isfinite(second)
    if np.count_nonzero(both) < _ENOUGH:
        return None
    one, two = (side[both].astype(np.float64) for side in (first, second))
    one, two = one - one.mean(), two - two.mean()
    size = np.sqrt(np.add.reduce(one * one) * np.add.reduce(two * two))
    if size == 0:
        return None
    return float(np.clip(np.add.reduce(one * two) / size, -1, 1))


# ------------------------------------------------------------------------------ two polarisations
def _together(power: Mapping[str, Floats], decibels: Mapping[str, Floats]) -> dict[str, float]:
    pair = next((p for p in (("VV", "VH"), ("HH", "HV")) if set(p) <= power.keys()), None)
    if pair is None:
        return {}
    co, cross = pair
    total = power[co] + power[cross]
    found = _spread("ratio_db", decibels[co] - decibels[cross])
    found |= _spread("rvi", np.float32(4) * power[cross] / total)
    found |= _spread("span_db", _decibels(total))
    found |= _spread("ndpoli", (power[co] - power[cross]) / total)
    flat = _correlation(decibels[co].reshape(-1), decibels[cross].reshape(-1))
    return found if flat is None else found | {"co_cross_correlation": flat}


# ----------------------------------------------------------------------------------- definitions
_WORDS: Final = {
    "mean": "Mean", "std": "Standard deviation", "p10": "10th percentile", "p50": "Median",
    "p90": "90th percentile",
}  # fmt: skip
_LEE: Final = (
    "Lee (1980), doi:10.1109/TPAMI.1980.4766994; Lopes et al. (1990), doi:10.1109/36.62623"
)
_RVI: Final = "Nasirzadehdizaji et al. (2019), doi:10.3390/app9040655"
_OLIVER: Final = "Oliver and Quegan (2004), Understanding Synthetic Aperture Radar Images, ch. 4"
_LEE_POTTIER: Final = "Lee and Pottier (2009), Polarimetric Radar Imaging, ch. 3"
_NDPOLI: Final = "Mitchard et al. (2012), doi:10.5194/bg-9-179-2012"


def _features() -> Iterator[Feature]:
    from pyarrow import string

    yield Feature(
        name="polarisations", type=string(), meaning="Polarisations that were there",
        formula="card, observed / all >= 1 %", source="the lab",
    )  # fmt: skip
    yield _feature("valid_share", "Share of pixels with backscatter", "observed / all", "the lab")
    for letter in POLARISATIONS:
        yield from _of_one(letter)
    cases = (
        ("ratio_db", "co- over cross-polarised power", "VV[dB] - VH[dB]", _RVI, "dB"),
        ("rvi", "dual-polarised radar vegetation index", "4 VH / (VV + VH)", _RVI, "1"),
        ("span_db", "total power", "10 log10(VV + VH)", _LEE_POTTIER, "dB"),
        ("ndpoli", "normalised polarisation difference", "(VV - VH) / (VV + VH)", _NDPOLI, "1"),
    )
    for name, meaning, formula, source, unit in cases:
        for statistic, word in _WORDS.items():
            said = f"{word} of the {meaning}; of HH and HV where VV and VH are not there"
            yield _feature(f"{name}_{statistic}", said, f"{statistic}({formula})", source, unit)
    yield _feature("co_cross_correlation", "Correlation over pixels of both polarisations",
        "Pearson(VV[dB], VH[dB])", _LEE_POTTIER)  # fmt: skip


def _of_one(letter: str) -> Iterator[Feature]:
    name, bands = letter.lower(), (letter,)
    for statistic, word in _WORDS.items():
        said, formula = f"{word} of {letter} backscatter", f"{statistic}(10 log10 {letter})"
        yield _feature(f"{name}_db_{statistic}", said, formula, _OLIVER, "dB", bands)
    yield _feature(
        f"{name}_mean", f"Mean power of {letter}", f"mean({letter})", _OLIVER, "1", bands
    )
    yield _feature(f"{name}_cv", f"Coefficient of variation of {letter}",
        f"std({letter}) / mean({letter})", _OLIVER, "1", bands)  # fmt: skip
    yield _feature(f"{name}_looks", "Equivalent number of looks: median over windows of"
        f" {SIZE} x {SIZE} pixels", "mean^2 / variance", _OLIVER, "1", bands)  # fmt: skip
    lee = f"Lee({letter}, {SIZE} x {SIZE}, {_LOOKS} looks)"
    yield _feature(f"{name}_lee_cv", f"Coefficient of variation of {letter} without speckle",
        f"std / mean of {lee}", _LEE, "1", bands)  # fmt: skip
    for statistic, word in _WORDS.items():
        if statistic != "mean":
            said, formula = f"{word} of {letter} without speckle", f"{statistic}(10 log10 {lee})"
            yield _feature(f"{name}_lee_db_{statistic}", said, formula, _LEE, "dB", bands)
    yield _feature(f"{name}_temporal_correlation", "Mean correlation over pixels of one time step"
        " with the next; stands in for coherence where phase was not kept",
        f"mean over t of Pearson({letter}[dB](t), {letter}[dB](t + 1))", "the lab", "1",
        bands)  # fmt: skip
    yield _feature(f"{name}_temporal_std_db", "Mean over pixels of the standard deviation over"
        " time", f"mean(std over t({letter}[dB]))", "the lab", "dB", bands)  # fmt: skip


def _feature(
    name: str, meaning: str, formula: str, source: str, unit: str = "1", bands: tuple[str, ...] = ()
) -> Feature:
    return Feature(
        name=name, meaning=meaning, formula=formula, source=source, unit=unit, bands=bands
    )


RADAR: Final = FeatureSet(
    name="radar",
    version=2,
    title="Backscatter, speckle, polarisation and stability in time",
    features=tuple(_features()),
    needs=Needs(arrays=True, any_band=POLARISATIONS),
    by_scene=radar,
    parameters={
        "looks": _LOOKS,
        "window": SIZE,
        "percentiles": dict(_PROBABILITIES),
        "least_share": LEAST_SHARE,
    },
    made_of=(
        "registry.curate.features.sets.radar_speckle",
        "registry.curate.features.sets.spread",
    ),
)
"""Radar features."""
