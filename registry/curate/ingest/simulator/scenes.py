"""A scene: a landscape on one day, under one sky, as an instrument sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.covers import WATER
from registry.curate.ingest.simulator.fields import Field, blend, blur, fractal, smoothstep
from registry.curate.ingest.simulator.landscape import Landscape
from registry.curate.ingest.simulator.materials import spectrum
from registry.curate.ingest.simulator.seasons import ground_reflectance

__all__ = ["Events", "Scene", "Sky", "make_sky", "render", "sun_at"]

_MOST = 65_535
_CLOUDY = 0.35  # a pixel with more of it is called cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """Clouds and their shadows, each as a share of the pixel in [0, 1]; shape ``(y, x)``."""

    cloud: Field
    """How much cloud hides each pixel."""

    shadow: Field
    """How much of the sun clouds take from each pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What happened to the ground; shares in [0, 1], shape ``(y, x)``; None where nothing did."""

    burn: Field | None = None
    """How much of each pixel is charred."""

    flood: Field | None = None
    """How much of each pixel stands under muddy water."""

    paint: tuple[tuple[Field, Field], ...] = ()
    """Further things on the ground: share, and reflectance of shape ``(band,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an instrument sees of a landscape on one day."""

    landscape: Landscape
    """The ground."""

    moment: datetime
    """When, in UTC."""

    pixels: npt.NDArray[np.uint16]
    """Surface reflectance times 10000, shape ``(band, y, x)``; 0 would be nodata."""

    cloudy: npt.NDArray[np.bool_]
    """Whether a cloud hides the pixel."""

    sun: Mapping[str, float]
    """``view:sun_elevation`` and ``view:sun_azimuth``, in degrees."""


def sun_at(moment: datetime, *, lon: float, lat: float) -> tuple[float, float]:
    """Return where the sun stands.

    Args:
        moment: When, in UTC.
        lon: Longitude in degrees.
        lat: Latitude in degrees.

    Returns:
        Elevation above the horizon and azimuth from north over east, in degrees; good to 1°.

    References:
        Spencer (1971), Search 2, 172 (declination); Iqbal (1983), An Introduction to Solar
        Radiation, §1.5 (the angles).

    Examples:
        >>> noon = datetime(2021, 6, 21, 12, tzinfo=UTC)
        >>> [round(degrees) for degrees in sun_at(noon, lon=0, lat=50)]
        [63, 180]
    """
    turn = 2 * np.pi * (moment.timetuple().tm_yday - 1) / 365
    declination = (
        0.006918 - 0.399912 * np.cos(turn) + 0.070257 * np.sin(turn)
        - 0.006758 * np.cos(2 * turn) + 0.000907 * np.sin(2 * turn)
    )  # fmt: skip
    hours = moment.hour + moment.minute / 60 + lon / 15 - 12
    angle, phi = np.radians(15 * hours), np.radians(lat)
    up = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    north = np.sin(declination) * np.cos(phi) - np.cos(declination) * np.sin(phi) * np.cos(angle)
    return float(np.degrees(np.arcsin(up))), float(np.degrees(np.arctan2(east, north)) % 360)


def overpass(lon: float, *, year: int, day: int) -> datetime:
    """Return when a satellite with Sentinel-2's orbit passes on a day: 10:30 by the sun, in UTC."""
    start = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
    return start + timedelta(minutes=round((10.5 - lon / 15) * 60))


def make_sky(
    size: int, rng: np.random.Generator, *, share: float, gsd_m: int, sun: tuple[float, float]
) -> Sky | None:
    """Return clouds and their shadows; None under a clear sky.

    Args:
        size: Pixels along each edge.
        rng: Where its chance comes from.
        share: Share of the scene under clouds, in [0, 1].
        gsd_m: Size of a pixel, in metres.
        sun: Elevation and azimuth, in degrees.
    """
    if share <= 0:
        return None
    shape = fractal(size, rng, roughness=1.75, coarsest=0.3)
    bar = float(np.quantile(shape[::4, ::4], 1 - share))
    cloud = smoothstep(shape, low=bar, high=bar + 1.1) * np.float32(0.96)
    height_m = rng.uniform(900, 2600)
    reach = min(height_m / np.tan(np.radians(max(sun[0], 15))) / gsd_m, size / 3)
    away = np.radians(sun[1] + 180)  # shadows fall away from the sun
    down, right = round(-np.cos(away) * reach), round(np.sin(away) * reach)
    shadow = np.roll(cloud, (down, right), axis=(0, 1))
    return Sky(cloud=cloud, shadow=shadow * (1 - cloud))


def render(
    land: Landscape,
    moment: datetime,
    rng: np.random.Generator,
    *,
    cloud_share: float = 0.0,
    events: Events | None = None,
) -> Scene:
    """Return what the landscape's instrument sees at a moment.

    Args:
        land: The ground.
        moment: When, in UTC.
        rng: Where the chance of clouds and noise comes from.
        cloud_share: Share of the scene under clouds, in [0, 1].
        events: Fires, floods and things on the ground.
    """
    place, sensor = land.place, land.sensor
    sun = sun_at(moment, lon=place.lon, lat=place.lat)
    image = _colours(land, moment)[:, land.unit]
    image *= land.tone * _light(land, sun)
    _wet(image, land)
    happened = events or Events()
    _change(image, land, happened)
    blur(image, side=0.13)
    sky = make_sky(land.size, rng, share=cloud_share, gsd_m=sensor.gsd_m, sun=sun)
    if sky is not None:
        image *= 1 - np.float32(0.62) * sky.shadow
        blend(image, sky.cloud, spectrum("cloud", sensor))
    cloudy = np.zeros(land.unit.shape, np.bool_) if sky is None else sky.cloud > _CLOUDY
    return Scene(
        landscape=land, moment=moment, pixels=_quantise(image, sensor.noise, rng), cloudy=cloudy,
        sun={"view:sun_elevation": round(sun[0], 2), "view:sun_azimuth": round(sun[1], 2)},
    )  # fmt: skip


def _colours(land: Landscape, moment: datetime) -> Field:
    """Return what each unit reflects that day; shape ``(band, unit)``."""
    units, day = land.units, float(moment.timetuple().tm_yday)
    table = np.empty((units.ground.size, len(land.sensor.bands)), np.float32)
    for ground in np.unique(units.ground):
        rows = units.ground == ground
        table[rows] = ground_reflectance(
            str(ground), land.sensor, day, southern=land.place.lat < 0,
            shift=units.shift[rows], vigour=units.vigour[rows],
        )  # fmt: skip
    return np.ascontiguousarray((table * units.bright[:, None]).T)


def _light(land: Landscape, sun: tuple[float, float]) -> Field:
    """Return how much sun slopes get, against flat ground; softened, as correction leaves it."""
    zenith, azimuth = np.radians(90 - max(sun[0], 12)), np.radians(sun[1])
    tilt = np.float32(np.tan(zenith) * 0.75)
    towards = land.east * np.float32(np.sin(azimuth)) + land.north * np.float32(np.cos(azimuth))
    light: Field = np.clip(1 - tilt * towards, 0.45, 1.6)
    return light


def _wet(image: Field, land: Landscape) -> None:
    """Make water muddy at shores and clear far out."""
    mud = (land.cover == WATER) * (1 - land.depth) * np.float32(0.55)
    blend(image, mud.astype(np.float32), spectrum("turbid water", land.sensor))


def _change(image: Field, land: Landscape, events: Events) -> None:
    if events.burn is not None:
        blend(image, events.burn, spectrum("char", land.sensor) * np.float32(0.75))
    if events.flood is not None:
        muddy = spectrum("turbid water", land.sensor) * np.float32(0.5)
        muddy += spectrum("river water", land.sensor) * np.float32(0.5)
        blend(image, events.flood, muddy)
    for share, colour in events.paint:
        blend(image, share, colour)


def _quantise(image: Field, noise: float, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Return the noisy picture in ten thousandths; never 0, which is nodata."""
    bands, height, width = image.shape
    pool = rng.standard_normal(height * width + 8192, np.float32)
    starts: list[int] = [int(one) for one in rng.integers(0, 8192, size=(bands,))]
    counts = np.empty(image.shape, np.uint16)
    pool *= np.float32(noise * 10_000)
    image *= 10_000
    for band, start in enumerate(starts):
        grain = pool[start : start + height * width].reshape(height, width)
        counts[band] = np.clip(image[band] + grain, 1, _MOST)
    return counts
