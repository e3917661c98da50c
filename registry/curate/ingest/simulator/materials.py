"""What things look like from above: mean reflectance of materials in a sensor's bands.

The numbers make pictures and their truth plausible; they are no calibration standard. *Measured*
rows are means over published laboratory and field spectra, taken at the band centres; *drawn* rows
were rounded by hand to the shape and level that the source shows.

References:
    Anderson (2018), EarthLib, https://earth-chris.github.io/earthlib-legacy (the collection that
    the measured means were taken over), with spectra of
    Herold, Roberts, Gardner, Dennison (2004), Remote Sens. Environ. 91, 304-319 (urban surfaces);
    ICRAF and ISRIC (2010), A globally distributed soil spectral library (soils);
    Joint Fire Science Program, burn severity spectral library, https://www.frames.gov (char).
    Lobell and Asner (2002), Soil Sci. Soc. Am. J. 66, 722-727 (soils in the field are moister, so
    about half as bright as dried in the laboratory).
    Asner (1998), Remote Sens. Environ. 64, 234-253 (leaves, litter and canopies).
    Rautiainen et al. (2018), Remote Sens. 10, 207 (coniferous forests).
    Morel and Prieur (1977), Limnol. Oceanogr. 22, 709-722 (clear water).
    Doxaran et al. (2002), Remote Sens. Environ. 81, 149-161 (turbid water).
    Staetter and Schroeder (1978), in Vermote et al. (1997), IEEE Trans. Geosci. Remote Sens. 35,
    675-686 (sand).
    Wiscombe and Warren (1980), J. Atmos. Sci. 37, 2712-2733 (snow).
    Nakajima and King (1990), J. Atmos. Sci. 47, 1878-1893 (clouds).
    Koepke (1984), Appl. Opt. 23, 1816-1824 (foam).
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MATERIALS", "SENSORS", "Sensor", "spectrum"]

_BANDS: Final = (
    "COASTAL_AEROSOL", "BLUE", "GREEN", "RED", "RED_EDGE_1", "RED_EDGE_2", "RED_EDGE_3",
    "NIR_BROAD", "NIR_NARROW", "WATER_VAPOR", "SWIR_1", "SWIR_2",
)  # fmt: skip


def _r(*per_mille: float) -> npt.NDArray[np.float32]:
    values = np.array(per_mille, np.float32) / np.float32(1000)
    values.flags.writeable = False
    return values


# Per mille at 443, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1610 and 2190 nm.
MATERIALS: Final = MappingProxyType({
    # drawn
    "water": _r(36, 30, 22, 9, 7, 5, 5, 4, 4, 3, 2, 1),
    "turbid water": _r(58, 74, 108, 100, 92, 46, 44, 34, 30, 20, 6, 4),
    "river water": _r(44, 50, 66, 52, 46, 24, 23, 18, 16, 11, 4, 2),
    "broadleaf": _r(20, 24, 52, 30, 80, 270, 345, 365, 378, 375, 180, 80),
    "conifer": _r(14, 16, 32, 21, 46, 132, 165, 180, 188, 190, 86, 39),
    "grass": _r(30, 36, 74, 52, 112, 270, 330, 350, 365, 370, 215, 115),
    "crop": _r(24, 30, 76, 36, 102, 350, 450, 480, 490, 480, 220, 100),
    "sand": _r(140, 175, 255, 345, 370, 395, 410, 425, 430, 440, 530, 500),
    "snow": _r(950, 950, 940, 930, 920, 910, 900, 880, 860, 800, 100, 60),
    "cloud": _r(800, 780, 765, 765, 765, 770, 770, 775, 770, 700, 600, 480),
    "foam": _r(220, 220, 220, 200, 190, 180, 170, 160, 150, 120, 60, 30),
    # measured: char n=21, asphalt n=4, pavements n=10, shingle n=11, red tile n=2, metal n=5
    "char": _r(45, 49, 56, 68, 74, 81, 86, 94, 97, 106, 194, 228),
    "asphalt": _r(47, 53, 64, 75, 80, 86, 91, 98, 100, 107, 155, 148),
    "pavement": _r(190, 208, 246, 272, 276, 283, 286, 285, 284, 285, 320, 321),
    "shingle": _r(117, 123, 138, 164, 168, 172, 173, 173, 173, 174, 173, 159),
    "red tile": _r(58, 65, 105, 239, 268, 298, 309, 305, 305, 337, 661, 688),
    "metal": _r(183, 197, 229, 235, 240, 253, 268, 269, 268, 264, 290, 290),
    "paint": _r(235, 251, 316, 377, 388, 398, 405, 408, 408, 409, 403, 358),
    # measured, n=102 soils and n=14 litters, times 0.55, 0.3, 0.4 and 0.75 for moisture and
    # shade; gravel n=5 for rock
    "soil": _r(84, 101, 152, 211, 229, 246, 256, 261, 262, 271, 346, 280),
    "dark soil": _r(43, 52, 78, 108, 118, 128, 134, 138, 140, 145, 172, 130),
    "brown soil": _r(62, 75, 113, 155, 169, 182, 190, 195, 197, 203, 250, 200),
    "rock": _r(85, 91, 106, 124, 131, 138, 141, 141, 141, 144, 191, 192),
    "litter": _r(60, 83, 115, 152, 180, 233, 261, 280, 298, 322, 326, 225),
})
"""Reflectance in the twelve bands of Sentinel-2 level 2A, unitless, in [0, 1]; shape ``(12,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """An instrument as its surface reflectance product shows it."""

    name: str
    """As in ``simulate(sensor=…)``; also the name of the asset."""

    bands: tuple[str, ...]
    """Names of the bands in their order, in TerraTorch's words."""

    gsd_m: int
    """Size of a pixel on the ground, in metres."""

    indices: tuple[int, ...]
    """Where each band stands in ``MATERIALS``."""

    noise: float
    """Standard deviation of the noise, in reflectance."""

    def index(self, band: str) -> int:
        """Return where a band stands in the sensor's arrays."""
        return self.bands.index(band)


def _sensor(name: str, bands: tuple[str, ...], gsd_m: int, noise: float) -> Sensor:
    indices = tuple(_BANDS.index(band) for band in bands)
    return Sensor(name=name, bands=bands, gsd_m=gsd_m, indices=indices, noise=noise)


_HLS = ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2")

SENSORS: Final = MappingProxyType({
    "hls": _sensor("hls", _HLS, 30, 0.0012),
    "sentinel-2": _sensor("sentinel-2", _BANDS, 10, 0.0020),
})
"""The sensors there are: HLS v2.0 in six bands at 30 m, Sentinel-2 level 2A in twelve at 10 m.

References:
    Claverie et al. (2018), Remote Sens. Environ. 219, 145-161 (HLS).
    ESA, Sentinel-2 User Handbook (2015), §1.6 (bands); level 2A has no cirrus band.
"""


def spectrum(material: str, sensor: Sensor) -> npt.NDArray[np.float32]:
    """Return what a material reflects in a sensor's bands.

    Args:
        material: A key of ``MATERIALS``.
        sensor: The instrument.

    Returns:
        Reflectance, unitless, in [0, 1]; shape ``(band,)``.

    Examples:
        >>> [round(float(share), 3) for share in spectrum("char", SENSORS["hls"])[:2]]
        [0.049, 0.056]
    """
    return MATERIALS[material][list(sensor.indices)]
