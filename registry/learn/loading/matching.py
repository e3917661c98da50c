"""Which band of the data is which of the model's, and what turns its numbers into those."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from registry.curate.features.bands import is_narrow
from registry.errors import InvalidInputError
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.loading.units import unit_of

__all__ = ["ContractMismatchError", "Step", "steps_of"]

_COARSER: Final = 1.5
_SAME: Final = 1.01
_NEAR_INFRARED: Final = frozenset({"N", "N2"})


class ContractMismatchError(InvalidInputError):
    """What the data give is not what the model reads, and no conversion is sure."""

    code = "contract-mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How one band of the model is made: ``(stored - centre) * gain``."""

    source: int
    """Place of the data's band, from 0."""

    centre: float
    """Stored value that becomes 0."""

    gain: float
    """Normalised units a stored unit."""

    fraction: bool = False
    """Whether stored numbers are said to be reflectance as they are, so whole ones cannot be."""


Steps = dict[str, tuple[Step, ...]]


def steps_of(
    wanted: Contract, given: Contract, *, allow: Collection[str], dataset: str | None = None
) -> tuple[Steps, dict[str, str], list[str]]:
    """Return how each band is made by the model's asset, the data's assets, and what is said.

    Raises:
        ContractMismatchError: The data do not give what the model reads.
    """
    steps: Steps = {}
    sources: dict[str, str] = {}
    said: list[str] = []
    for one in wanted.inputs:
        source = _source(one, wanted, given)
        if source is None:
            if "asset" not in allow:
                _refuse_absent(one, given)
            said.append(f"{one.asset}: is not there; the model is asked without it")
            continue
        if source.asset != one.asset:
            said.append(f"{one.asset}: is taken from '{source.asset}'")
        places = _places(one, source, said, dataset)
        _compare_levels(one, source, allow, said)
        _compare_sizes(one, source, allow, said)
        _compare_frames(one, source, said)
        steps[one.asset] = _numbers(one, source, places, allow, said)
        sources[one.asset] = source.asset
    if not steps:
        raise ContractMismatchError(
            "the data have none of the model's assets",
            hint=f"it reads {', '.join(one.asset for one in wanted.inputs)}; "
            f"they give {', '.join(one.asset for one in given.inputs)}",
        )
    return steps, sources, said


# -------------------------------------------------------------------------------------- assets
def _source(one: Input, wanted: Contract, given: Contract) -> Input | None:
    """Return the data's asset: of the same name, else the only one that has all of its bands."""
    for source in given.inputs:
        if source.asset == one.asset:
            return source
    taken = {other.asset for other in wanted.inputs}
    free = [source for source in given.inputs if source.asset not in taken]
    fitting = [source for source in free if all(p is not None for p in _matched(one, source))]
    return fitting[0] if len(fitting) == 1 else None


def _refuse_absent(one: Input, given: Contract) -> None:
    names = ", ".join(band.name for band in one.bands)
    there = "; ".join(
        f"{source.asset} ({', '.join(band.name for band in source.bands)})"
        for source in given.inputs
    )
    raise ContractMismatchError(
        f"the model reads '{one.asset}' ({names}), which the data do not have",
        hint=f"they give {there}; name their bands in the card; in Python allow=('asset',) lets it "
        "be missing",
    )


# --------------------------------------------------------------------------------------- bands
def _places(one: Input, source: Input, said: list[str], dataset: str | None) -> list[int]:
    found = _matched(one, source)
    if missing := [band for band, place in zip(one.bands, found, strict=True) if place is None]:
        _refuse_bands(one, source, missing, dataset)
    places = [place for place in found if place is not None]
    said += _widths(one, source, places)
    if places != list(range(len(source.bands))):
        names = ", ".join(source.bands[place].name for place in places)
        ordered = places == sorted(places)
        said.append(
            f"{one.asset}: of {len(source.bands)} bands it reads {names}"
            if ordered
            else f"{one.asset}: bands are put in the order {names}"
        )
    renamed = [
        f"{source.bands[place].name} for {band.name}"
        for band, place in zip(one.bands, places, strict=True)
        if band.name != source.bands[place].name
    ]
    if renamed:
        said.append(f"{one.asset}: by common letter it takes {', '.join(renamed)}")
    if all(band.common is None and band.name.isdecimal() for band in one.bands):
        said.append(f"{one.asset}: nobody named the bands, so they are taken by their place")
    return places


def _matched(one: Input, source: Input) -> list[int | None]:
    """Return each band's place among the data's; None where it is not there or not sure."""
    by_name = {band.name: number for number, band in enumerate(source.bands)}
    by_letter = {band.common: number for number, band in enumerate(source.bands) if band.common}
    found: list[int | None] = []
    for band in one.bands:
        place = by_name.get(band.name)
        if place is not None and _contradict(band, source.bands[place]):
            place = None
        if place is None and band.common:
            place = by_letter.get(band.common)
            if place is None and band.common in _NEAR_INFRARED:
                place = by_letter.get("N2" if band.common == "N" else "N")
        found.append(place)
    named = {band.name for band in one.bands}
    for number, place in enumerate(found):  # two of the model's bands are never one of the data's
        if place is not None and found.count(place) > 1:
            exact = one.bands[number].name == source.bands[place].name
            if not exact and source.bands[place].name in named:
                found[number] = None
    return [None if p is not None and found.count(p) > 1 else p for p in found]


def _contradict(band: Band, other: Band) -> bool:
    """Return whether two bands of one name are different ones, as B5 of two sensors."""
    if band.common is None or other.common is None or band.common == other.common:
        return False
    return not {band.common, other.common} <= _NEAR_INFRARED


def _widths(one: Input, source: Input, places: list[int]) -> list[str]:
    """Return that a near infrared band of another width is taken."""
    words = {False: "broad", True: "narrow"}
    found = []
    for band, place in zip(one.bands, places, strict=True):
        other = source.bands[place]
        if not {band.common, other.common} & _NEAR_INFRARED:
            continue
        width, width_there = _narrow(band), _narrow(other)
        if width != width_there:
            found.append(
                f"{one.asset}: {band.name} is near infrared, {words[width]}; "
                f"{other.name} of the data is the {words[width_there]} one"
            )
    return found


def _narrow(band: Band) -> bool:
    return band.common == "N2" or is_narrow(band.name)


def _refuse_bands(one: Input, source: Input, missing: list[Band], dataset: str | None) -> None:
    names = ", ".join(f"{b.name} ({b.common})" if b.common else b.name for b in missing)
    there = ", ".join(f"{b.name} ({b.common})" if b.common else b.name for b in source.bands)
    unnamed = all(band.name.isdecimal() for band in source.bands)
    helps = (
        f"nobody named its {len(source.bands)} bands: name all in order in the card: eolab card "
        f"{dataset or 'NAME'} --set 'assets.{source.asset}={{bands: [B02, B03, …]}}'; then "
        "publish, and use that version"
        if unnamed
        else f"it has {there}; use data that have it, or a model that does without"
    )
    raise ContractMismatchError(
        f"the model reads {names} of '{one.asset}', which '{source.asset}' does not have",
        hint=helps,
    )


# ------------------------------------------------------------------------------------- numbers
def _numbers(
    one: Input, source: Input, places: list[int], allow: Collection[str], said: list[str]
) -> tuple[Step, ...]:
    told: list[str] = []
    steps = [
        _step(band, source.bands[place], place, one.asset, allow, told)
        for band, place in zip(one.bands, places, strict=True)
    ]
    said += dict.fromkeys(told)
    without = [band.name for band in one.bands if band.mean is None or band.std is None]
    if without:
        said.append(f"{one.asset}: {', '.join(without)} stay physical: no statistics are known")
    return tuple(steps)


def _step(
    band: Band, other: Band, place: int, asset: str, allow: Collection[str], told: list[str]
) -> Step:
    """Return ``(stored - centre) * gain`` of stored, physical, the model's unit, normalised.

    Raises:
        ContractMismatchError: The units do not go together.
    """
    factor, offset = _between(band, other, asset, allow, told)
    scale = other.scale * factor
    shift = other.offset * factor + offset
    mean = 0.0 if band.mean is None else band.mean
    std = 1.0 if band.std is None or band.mean is None or not band.std > 0 else band.std
    if scale == 0:
        raise ContractMismatchError(
            f"band {other.name} of '{asset}' has scale 0", hint="mend the card: scale: 0.0001"
        )
    said = unit_of(other.unit)
    bare = said.kind == "reflectance" and said.factor == 1 and other.scale == 1
    return Step(source=place, centre=(mean - shift) / scale, gain=scale / std, fraction=bare)


def _between(
    band: Band, other: Band, asset: str, allow: Collection[str], told: list[str]
) -> tuple[float, float]:
    """Return factor and offset from the data's physical values to the model's.

    Raises:
        ContractMismatchError: There is no sure way.
    """
    here, there = unit_of(band.unit), unit_of(other.unit)
    if here.kind is None and there.kind is None:
        if (band.scale, band.offset) != (other.scale, other.offset):
            if "scale" in allow:
                told.append(
                    f"{asset}: nobody said a unit; stored values are scaled by {_affine(other)}, "
                    "as allowed, and then taken to mean the same"
                )
                return 1.0, 0.0
            raise ContractMismatchError(
                f"nobody said the unit of {other.name} of '{asset}', and its scale is "
                f"{other.scale:g}, not {band.scale:g}",
                hint=f"say it in both cards, as in assets.{asset}={{unit: reflectance}}",
            )
        told.append(f"{asset}: nobody said a unit, so equal numbers are taken to mean the same")
        return 1.0, 0.0
    if here.kind is None or there.kind is None:
        _refuse_unsaid(band, other, asset)
    if here.kind != there.kind:
        raise ContractMismatchError(
            f"the model reads {band.name} of '{asset}' in {band.unit}, the data give {other.unit}",
            hint="convert the data when they are brought in, or use a model that reads them",
        )
    if (here.factor, here.offset) != (there.factor, there.offset):
        told.append(f"{asset}: {other.unit} becomes {band.unit}")
    elif (band.scale, band.offset) != (other.scale, other.offset):
        told.append(
            f"{asset}: stored values are scaled by {_affine(other)}, as the data's card says; the "
            f"model learned from values scaled by {_affine(band)}"
        )
    return there.factor / here.factor, (there.offset - here.offset) / here.factor


def _affine(band: Band) -> str:
    return f"{band.scale:g}" + (f" {band.offset:+g}" if band.offset else "")


def _refuse_unsaid(band: Band, other: Band, asset: str) -> None:
    if unit_of(other.unit).kind is None:
        raise ContractMismatchError(
            f"the model reads {band.unit}, and nobody said what the numbers (DN) of {other.name} "
            f"in '{asset}' are",
            hint="say it in the card of the data: "
            f"--set 'assets.{asset}={{unit: reflectance, scale: 0.0001}}'; scale and offset are "
            "the product's, and are never guessed",
        )
    raise ContractMismatchError(
        f"the model reads plain numbers (DN) of {band.name} in '{asset}', the data give "
        f"{other.unit}",
        hint="say unit and scale in the card of the version that it learned from, and train again",
    )


# ------------------------------------------------------------------------- level, size, frames
def _compare_levels(one: Input, source: Input, allow: Collection[str], said: list[str]) -> None:
    if one.level == source.level:
        return
    if one.level is None or source.level is None:
        known = one.level or source.level
        whose = "the model's" if source.level is None else "the data's"
        said.append(f"{one.asset}: only {whose} processing level is known: {known}")
        return
    if "level" not in allow:
        raise ContractMismatchError(
            f"the model learned from '{one.asset}' at level {one.level}, the data are "
            f"{source.level}",
            hint=f"use data at level {one.level}, or in Python take the risk: allow=('level',)",
        )
    said.append(f"{one.asset}: level {source.level} in place of {one.level}, as allowed")


def _compare_sizes(one: Input, source: Input, allow: Collection[str], said: list[str]) -> None:
    if one.gsd is None or source.gsd is None:
        return
    ratio = max(one.gsd / source.gsd, source.gsd / one.gsd)
    if ratio <= _SAME:
        return
    if ratio > _COARSER and "gsd" not in allow:
        raise ContractMismatchError(
            f"the model learned from '{one.asset}' at {one.gsd:g} m, the data have pixels of "
            f"{source.gsd:g} m",
            hint=f"resample them to {one.gsd:g} m, or take the risk: --allow gsd of eolab "
            "predict, in Python allow=('gsd',)",
        )
    said.append(f"{one.asset}: pixels of {source.gsd:g} m in place of {one.gsd:g} m")


def _compare_frames(one: Input, source: Input, said: list[str]) -> None:
    if one.frames != source.frames:
        words = [f"{n} time steps" if n else "single images" for n in (one.frames, source.frames)]
        said.append(f"{one.asset}: the model reads {words[0]}, the data have {words[1]}")
