"""The limited process that opens one raster file; started by ``Limited``, never by hand.

Limits come before libraries: no network, little memory, no file beside the one it is told.
"""

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from registry.curate.formats.child import WithoutPandas, confine, end_with

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTINGS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": "192",
    "GDAL_PAM_ENABLED": "NO",
    "GTIFF_VIRTUAL_MEM_IO": "NO",
    "PROJ_NETWORK": "OFF",
}
_MOST_BANDS: Final = 4096
_MOST_PIXELS: Final = 1 << 38
_LONGEST_NAME: Final = 200
_LONGEST_WKT: Final = 16 << 10


class _File:
    """One raster, on its own grid or on another."""

    def __init__(self, shared: int) -> None:
        from registry.learn.inference.serving import Shared

        self._shared = Shared(shared)
        self._raster: Any = None
        self._open: Any = None

    def __call__(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to ``open``, ``grid`` or ``read``.

        Returns:
            JSON's types.
        """
        do: dict[str, Callable[..., dict[str, Any]]] = {
            "open": self._opened, "grid": self._aligned, "read": self._read,
        }  # fmt: skip
        return do[question.pop("do")](**question)

    def _opened(self, path: str) -> dict[str, Any]:
        import rasterio

        from registry.curate.formats.decode import sniff
        from registry.curate.formats.decoded import UnreadableError
        from registry.learn.inference.serving import RefusedError

        with open(path, "rb") as file:  # noqa: PTH123 — pathlib would be loaded for it alone
            first = file.read(512)
        try:
            driver = sniff(first)
        except UnreadableError as error:
            raise RefusedError(error.message, error.fix.replace("ingest", "predict on")) from error
        self._open = self._raster = rasterio.open(path, driver=driver, sharing=False)
        self._check()
        return self._header()

    def _check(self) -> None:
        from registry.learn.inference.serving import RefusedError

        one = self._raster
        if one.count > _MOST_BANDS:
            raise RefusedError(f"has {one.count:,} bands", f"give at most {_MOST_BANDS:,}")
        if one.width < 1 or one.height < 1 or one.count < 1:
            raise RefusedError(
                f"is {one.width} by {one.height} pixels of {one.count} bands",
                "give one that has some",
            )
        if one.width * one.height > _MOST_PIXELS:
            raise RefusedError(
                f"declares {one.width:,} by {one.height:,} pixels", "cut it into smaller scenes"
            )
        if len({*one.dtypes}) != 1 or "complex" in one.dtypes[0]:
            raise RefusedError(
                f"has bands of type {', '.join(sorted({*one.dtypes}))}",
                "convert all bands to one plain number type",
            )

    def _header(self) -> dict[str, Any]:
        from rasterio.enums import ColorInterp, MaskFlags

        one = self._raster
        alpha = [n + 1 for n, kind in enumerate(one.colorinterp) if kind == ColorInterp.alpha]
        flags = one.mask_flag_enums[0]
        return {
            "bands": [(name or "")[:_LONGEST_NAME] for name in one.descriptions],
            "dtype": one.dtypes[0],
            "shape": [one.height, one.width],
            "transform": list(one.transform)[:6],
            "placed": bool(one.crs) or not one.transform.is_identity,
            "crs": self._crs(),
            "nodata": one.nodata,
            "scales": list(one.scales),
            "offsets": list(one.offsets),
            "units": [(unit or "")[:_LONGEST_NAME] for unit in one.units],
            "alpha": alpha,
            "masked": MaskFlags.per_dataset in flags and MaskFlags.all_valid not in flags,
            "gcps": len(one.gcps[0]),
        }

    def _crs(self) -> str | None:
        from registry.learn.inference.serving import RefusedError

        if not self._raster.crs:
            return None
        wkt = str(self._raster.crs.to_wkt())
        if len(wkt) > _LONGEST_WKT:
            raise RefusedError("has a CRS of more text than any needs", "mend the file's CRS")
        return wkt

    def _aligned(self, **grid: Any) -> dict[str, Any]:  # noqa: ANN401 — JSON's types
        import numpy as np
        from rasterio import Affine
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        one = self._open
        stated = one.nodata if grid["nodata"] is None else grid["nodata"]
        nodata = stated
        if nodata is None:  # beyond the file's edges there has to be something
            kind = np.dtype(one.dtypes[0])
            nodata = float("nan") if kind.kind == "f" else float(np.iinfo(kind).max)
        self._raster = WarpedVRT(
            one, crs=grid["crs"], transform=Affine(*grid["transform"]), height=grid["height"],
            width=grid["width"], resampling=Resampling[grid["resampling"]], src_nodata=stated,
            nodata=nodata, warp_mem_limit=64,
        )  # fmt: skip
        return self._header()

    def _read(self, bands: list[int], box: list[int], masked: bool) -> dict[str, Any]:  # noqa: FBT001 — JSON's name for it
        from rasterio.windows import Window

        top, left, height, width = box
        window = Window(left, top, width, height)
        array = self._raster.read(bands, window=window)
        self._shared.put(array)
        if masked:
            self._shared.put(self._raster.dataset_mask(window=window), array.nbytes)
        return {"dtype": str(array.dtype), "shape": list(array.shape)}


def main() -> None:
    """Serve one file until standard input closes."""
    limits = json.loads(sys.argv[1])
    confine(limits["memory"])
    end_with(limits["parent"])
    os.environ.update(_SETTINGS)
    sys.meta_path.insert(0, WithoutPandas())

    from rasterio import Env
    from rasterio.errors import RasterioError

    from registry.curate.formats.unplaced import unplaced_allowed
    from registry.learn.inference.serving import serve, silenced

    with Env(), unplaced_allowed():
        serve(silenced(), _File(limits["shared"]), (RasterioError, OSError, ValueError))


if __name__ == "__main__":
    main()
