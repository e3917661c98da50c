"""The limited process that fetches from an archive; started by ``Limited``, never by hand.

It may use the network, unlike those that open files; GDAL knows few formats in it, none of which
leads anywhere else.
"""

import ctypes
import json
import os
import resource
import sys
from typing import Any, Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_ROWS: Final = 1024
_SETTINGS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": "192",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff,.jp2",
    "PROJ_NETWORK": "OFF",
    # formats that lead to other files or addresses
    "GDAL_SKIP": "VRT,GTI,WMS,WMTS,WCS,HTTP,OGCAPI,STACIT,STACTA,PLMosaic,EEDA,EEDAI,DAAS,NGW,"
    "DERIVED,Zarr,netCDF,HDF5,HDF5Image,HDF4,HDF4Image,GRIB,PDF,MBTiles,GPKG,KMLSUPEROVERLAY,"
    "SAFE,SENTINEL2,TILEDB,ENVI,AAIGrid,XYZ,PostGISRaster,Rasterlite,RASTERLITE2,MRF,ISIS3,PDS4",
}


class _Archive:
    """Writes a place at a date to a file."""

    def __call__(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to ``fetch``.

        Returns:
            JSON's types.
        """
        return self._fetched(**question)

    @staticmethod
    def _fetched(
        do: str,  # noqa: ARG004 — the question's name
        items: list[dict[str, Any]],
        bands: dict[str, str],
        mask: dict[str, Any] | None,
        grid: dict[str, Any],
        out: str,
        number: dict[str, Any],
        area: dict[str, Any] | None,
    ) -> dict[str, Any]:
        import numpy as np
        import odc.stac
        import pystac
        import rasterio
        from odc.geo.geobox import GeoBox
        from rasterio.windows import Window

        found = [pystac.Item.from_dict(one) for one in items]
        place = rasterio.Affine(*grid["transform"])
        box = GeoBox((grid["height"], grid["width"]), place, grid["crs"])
        wanted = [*bands] + ([mask["asset"]] if mask else [])
        resampling = {"*": "bilinear"} | ({mask["asset"]: "nearest"} if mask else {})
        seen = pixels = 0
        with rasterio.open(
            out, "w", driver="GTiff", height=grid["height"], width=grid["width"],
            count=len(bands), dtype=number["dtype"], nodata=number["nodata"], crs=grid["crs"],
            transform=place, tiled=True, compress="deflate",
            bigtiff="IF_SAFER",
        ) as file:  # fmt: skip
            file.descriptions = tuple(bands.values())
            file.scales = (number["scale"],) * len(bands)
            file.offsets = (number["offset"],) * len(bands)
            file.units = ("reflectance",) * len(bands)
            for top in range(0, grid["height"], _ROWS):
                rows = slice(top, min(top + _ROWS, grid["height"]))
                part = odc.stac.load(
                    found, bands=wanted, geobox=box[rows, :], groupby=lambda *_: 0,
                    resampling=resampling, fail_on_error=True,
                    stac_cfg=_configured(found, bands, mask, number),
                )  # fmt: skip
                array = np.stack([part[one].values[0] for one in bands]).astype(number["dtype"])
                clear = (array != number["nodata"]).all(0)
                if mask:
                    clear &= _clear(part[mask["asset"]].values[0], mask)
                array[:, ~clear] = number["nodata"]
                counted = _within(area, place, top, array.shape[1:])
                seen += int((clear & counted).sum())
                pixels += int(counted.sum())
                file.write(array, window=Window(0, top, grid["width"], rows.stop - top))
        return {"seen": seen, "pixels": pixels}


def _within(area: dict[str, Any] | None, place: Any, top: int, shape: tuple[int, int]) -> Any:  # noqa: ANN401 — NumPy is not loaded here
    import numpy as np
    from rasterio.features import geometry_mask
    from rasterio.windows import Window, transform

    if area is None:
        return np.ones(shape, np.bool_)
    window = Window(0, top, shape[1], shape[0])
    return geometry_mask([area], shape, transform(window, place), invert=True)


def _configured(
    items: list[Any], bands: dict[str, str], mask: dict[str, Any] | None, number: dict[str, Any]
) -> dict[str, Any]:
    assets: dict[str, Any] = {
        one: {"data_type": number["dtype"], "nodata": number["nodata"]} for one in bands
    }
    if mask:
        assets[mask["asset"]] = {"data_type": "uint8", "nodata": mask["nodata"]}
    return {item.collection_id: {"assets": assets} for item in items}


def _clear(values: Any, mask: dict[str, Any]) -> Any:  # noqa: ANN401 — NumPy is not loaded here
    import numpy as np

    good = values != mask["nodata"]
    if mask["values"]:
        good &= ~np.isin(values, mask["values"])
    if mask["bits"]:
        good &= (values.astype(np.int64) & mask["bits"]) == 0
    return good


def main() -> None:
    """Serve one archive until standard input closes."""
    limits = json.loads(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for limit, value in ((resource.RLIMIT_AS, limits["memory"]), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(limit)
        allowed = value if most < 0 else min(value, most)
        resource.setrlimit(limit, (allowed, allowed))
    os.environ.update(_SETTINGS)

    import rasterio
    from rasterio.errors import RasterioError

    from registry.curate.formats.child import end_with
    from registry.learn.inference.serving import serve, silenced

    end_with(limits["parent"])
    # rasterio brings certificates of its own; those that somebody names come first
    named = os.environ.get("CURL_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    with rasterio.Env(**({"GDAL_CURL_CA_BUNDLE": named} if named else {})):
        serve(silenced(), _Archive(), (RasterioError, OSError, ValueError, KeyError, RuntimeError))


if __name__ == "__main__":
    main()
