"""What a file's bands and numbers mean, in the words of the model that reads them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from registry.curate.features.bands import common_letters
from registry.errors import InvalidInputError
from registry.learn.inference.rasters import Header
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.loading.conversion import ContractMismatchError, conversion

__all__ = ["Reading", "WrongBandsError", "input_of"]

_NO_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
_MANY: Final = 16  # bands that a hint lists
_SUCH_AS: Final = MappingProxyType({"scale": "0.0001", "offset": "-0.1"})


class WrongBandsError(InvalidInputError):
    """A scene's bands are not those that the model reads, or nobody says which they are."""

    code = "wrong-bands"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the numbers of files are to be read where they do not say it, or say it wrongly."""

    bands: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_NAMES)
    """By input: what each band of its files is called, in the files' order; "" for any input."""

    scale: float | None = None
    """Factor from stored to physical values; None for what the file says, else the model's."""

    offset: float | None = None
    """Added after scaling."""

    nodata: float | None = None
    """Stored value that means that nothing was observed; None for what the file says."""

    allow: tuple[str, ...] = ()
    """What may differ from the training data: of ``registry.learn.loading.conversion.ALLOWED``."""

    resampling: str = "bilinear"
    """How files are warped that lie on another grid than the first."""

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InvalidInputError(
                    f"the {name} of a file's numbers is {value}",
                    hint=f"give a finite number, such as --{name} {_SUCH_AS[name]}",
                )


def input_of(
    wanted: Input, header: Header, name: str, *, reading: Reading, said: list[str]
) -> tuple[Input, tuple[int, ...]]:
    """Return what a file gives of what a model reads, and the numbers of those bands.

    Args:
        wanted: What the model reads.
        header: What the file says of itself.
        name: The file's.
        reading: What else is said about it.
        said: Gets sentences on what is converted or taken for granted.

    Returns:
        The bands in the model's order, by the file's own names; GDAL's number of each.

    Raises:
        WrongBandsError: Nobody says which band is which.
        ContractMismatchError: The file does not give what the model reads.
    """
    names = _names(wanted, header, name, reading, said=said)
    whole = Input(
        asset=wanted.asset,
        bands=_bands(wanted, header, names, name, reading=reading, said=said),
        gsd=_gsd(header),
        level=wanted.level,
        nodata=header.nodata if reading.nodata is None else reading.nodata,
        frames=wanted.frames,
    )
    stated = reading.scale is not None or reading.offset is not None
    allow = (*reading.allow, "scale") if stated else reading.allow
    try:
        found = conversion(Contract(inputs=(wanted,)), Contract(inputs=(whole,)), allow=allow)
    except ContractMismatchError as error:
        order = ",".join(band.name for band in wanted.bands)
        raise ContractMismatchError(
            f"{name}: {_problem(error, wanted, whole, reading)}",
            hint=f"it is read as {','.join(names)}; say what the file holds: --bands {order} names "
            "its bands in their order, --scale and --offset make physical values of its numbers; "
            "--allow gsd lets pixels have another size",
        ) from error
    said.extend(one for one in found.said if one not in said)
    places = [step.source for step in found.steps[wanted.asset]]
    given = replace(whole, bands=tuple(whole.bands[at] for at in places), gsd=wanted.gsd)
    return given, tuple(header.numbers[at] for at in places)


def _problem(error: ContractMismatchError, wanted: Input, given: Input, reading: Reading) -> str:
    """Return what is wrong, without blaming bands for one whose name no sensor has.

    Such a name leaves open which sensor all others are of, so that none of them is certain. That is
    reason enough to refuse, and not to call them missing.
    """
    names = [band.name for band in given.bands]
    strange = {name for name in names if not any(common_letters([name], asset=wanted.asset))}
    if not strange:
        return error.problem
    for left_out in (*({name} for name in sorted(strange)), strange):
        rest = [name for name in names if name not in left_out]
        letters = common_letters(rest, asset=wanted.asset)
        if not any(letters):
            continue
        by_name = dict(zip(rest, letters, strict=True))
        bands = tuple(
            replace(one, common=by_name.get(one.name) or one.common) for one in given.bands
        )
        likely = replace(given, bands=bands)
        try:
            conversion(Contract(inputs=(wanted,)), Contract(inputs=(likely,)), allow=reading.allow)
        except ContractMismatchError as narrower:
            return narrower.problem
        return f"no sensor has a band {', '.join(sorted(left_out))}, so no other is certain"
    return error.problem


def _bands(
    wanted: Input,
    header: Header,
    names: Sequence[str],
    file: str,
    *,
    reading: Reading,
    said: list[str],
) -> tuple[Band, ...]:
    letters = common_letters(names, asset=wanted.asset) or (None,) * len(names)
    by_name = {band.name: band for band in wanted.bands}
    learned = [by_name.get(name, wanted.bands[0]) for name in names]
    like_training = _is_silent(wanted, header, reading)
    if like_training:
        one = learned[0]
        shift = f" {one.offset:+g}" if one.offset else ""
        said.append(
            f"{file} does not say what its numbers mean: they are read like those that the model "
            f"learned from, {one.scale:g} a step{shift}; if that is wrong, say --scale"
        )
    made = []
    for n, (name, band) in enumerate(zip(names, learned, strict=True)):
        scale, offset = header.scales[n], header.offsets[n]
        if reading.scale is not None or reading.offset is not None:
            scale = 1.0 if reading.scale is None else reading.scale
            offset = reading.offset or 0.0
        elif like_training:
            scale, offset = band.scale, band.offset
        unit = header.units[n] or band.unit
        common = letters[n] or (band.common if band.name == name else None)
        made.append(Band(name=name, common=common, unit=unit, scale=scale, offset=offset))
    return tuple(made)


def _is_silent(wanted: Input, header: Header, reading: Reading) -> bool:
    """Return whether nobody says what a file's whole numbers mean, and values can be compared."""
    told = reading.scale is not None or reading.offset is not None
    silent = all(one == 1 for one in header.scales) and not any(header.offsets)
    scaled = any((band.scale, band.offset) != (1, 0) for band in wanted.bands)
    known = all(band.mean is not None and band.std for band in wanted.bands)
    whole = not header.dtype.startswith("float")
    return silent and scaled and known and whole and not told


def _names(
    wanted: Input, header: Header, name: str, reading: Reading, *, said: list[str]
) -> tuple[str, ...]:
    """Return what each band of a file is.

    Raises:
        WrongBandsError: Nobody says, or as many are named as the file does not have.
    """
    names = reading.bands.get(wanted.asset, reading.bands.get(""))
    order = ",".join(band.name for band in wanted.bands)
    if names is not None:
        if len(names) != len(header.numbers):
            raise WrongBandsError(
                f"{_counted(names)} named, and {name} has {len(header.numbers)}",
                hint=_every_band(header),
            )
        return names
    if len(wanted.bands) == 1 and len(header.numbers) == 1:
        return (wanted.bands[0].name,)
    if not any(header.bands) and len(header.numbers) == len(wanted.bands) and _nameless(wanted):
        said.append(
            f"the {len(wanted.bands)} bands of {name} have no names, nor have the model's: they "
            "are taken in their order"
        )
        return tuple(band.name for band in wanted.bands)
    if not all(header.bands) or len({*header.bands}) != len(header.bands):
        raise WrongBandsError(
            f"the {_of_bands(len(header.numbers), name)}, and the model reads {order}",
            hint=_every_band(header),
        )
    return header.bands


def _counted(names: Sequence[str]) -> str:
    return "1 band is" if len(names) == 1 else f"{len(names)} bands are"


def _of_bands(count: int, name: str) -> str:
    return f"band of {name} has no name" if count == 1 else f"{count} bands of {name} have no names"


def _nameless(wanted: Input) -> bool:
    """Return whether a model learned from files whose bands are counted, not named."""
    return [band.name for band in wanted.bands] == [str(n) for n in range(1, len(wanted.bands) + 1)]


def _every_band(header: Header) -> str:
    """Return how to name a file's bands, with as many places as it has bands."""
    count = len(header.numbers)
    places = [f"NAME{n}" for n in range(1, count + 1)]
    listed = [*places[:4], "…", places[-1]] if count > _MANY else places
    return f"name every band of the file, in its order: --bands {','.join(listed)}"


def _gsd(header: Header) -> float | None:
    area = header.placement.pixel_area_m2()
    return None if area is None else float(round(area**0.5, 6))
