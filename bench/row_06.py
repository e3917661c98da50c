"""Row 6: STAC items from newline-delimited JSON into Arrow, beside stac-geoparquet and rustac."""

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.ground import emptied, real, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare

_ITEMS: Final = 5000
_TIMES: Final = 5  # the real sets have 1,000 items each
_TARGET: Final = 10
_BANDS: Final = ("B02", "B03", "B04", "B08", "B8A", "B11", "B12", "SCL")


def run() -> tuple[list[Comparison], list[Figure]]:
    compared: list[Comparison] = []
    figures: list[Figure] = []
    with workplace() as place:
        folder = emptied(place / "stac")
        for name, path in _sources(folder):
            count = _count(path)
            found = compare(
                f"6 · {count:,} {name} items",
                Contestant(name="ours", work=partial(_ours, path)),
                [
                    Contestant(
                        name="stac-geoparquet",
                        work=partial(_stac_geoparquet, path),
                        target=_TARGET,
                    ),
                    Contestant(name="rustac", work=partial(_rustac, path), target=_TARGET),
                ],
            )
            compared += found
            middle = sorted(found[0].ours)[len(found[0].ours) // 2]
            figures.append(Figure(row=f"6 · {name} items in", value=count / middle, unit="items/s"))
    return compared, figures


def _sources(folder: Path) -> list[tuple[str, Path]]:
    """Return what is read: real items where they are at hand, else items made up."""
    found = []
    if packed := real("stac-sentinel2-1000", "items.ndjson.gz"):
        path = folder / "sentinel-2.ndjson"
        with gzip.open(packed) as source:
            _written(path, source.read(), times=scaled(_TIMES))
        found.append(("Sentinel-2", path))
    if naip := real("stac-naip", "naip-al-1000.ndjson"):
        path = folder / "naip.ndjson"
        _written(path, naip.read_bytes(), times=scaled(_TIMES))
        found.append(("NAIP", path))
    return found or [("simulated", _simulated(folder / "simulated.ndjson", scaled(_ITEMS)))]


def _written(path: Path, lines: bytes, *, times: int) -> None:
    """Write items several times over, each time with other ids."""
    items = [json.loads(line) for line in lines.splitlines() if line.strip()]
    with path.open("w", encoding="utf-8") as out:
        for turn in range(times):
            for item in items:
                out.write(json.dumps(item | {"id": f"{item['id']}-{turn}"}) + "\n")


def _count(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _simulated(path: Path, count: int) -> Path:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(_item(number)) + "\n" for number in range(count))
    return path


def _item(number: int) -> dict[str, Any]:
    """Return an item with the fields and bulk of a Sentinel-2 one."""
    west, south = -179 + number * 0.37 % 357, -60 + number * 0.23 % 130
    box = [west, south, west + 1, south + 1]
    corners = ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))
    where = {
        "type": "Polygon",
        "coordinates": [[[box[x], box[y]] for x, y in corners]],
    }
    assets = {
        band: {
            "href": f"https://example.org/{number:08d}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "title": f"Band {band}",
            "proj:shape": [10980, 10980],
            "proj:transform": [10, 0, 399960.0, 0, -10, 4200000.0],
            "file:size": 100_000 + number,
        }
        for band in _BANDS
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"scene-{number:08d}",
        "collection": "scenes",
        "geometry": where,
        "bbox": box,
        "properties": {
            "datetime": f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T10:00:00Z",
            "eo:cloud_cover": number % 101,
            "platform": f"sentinel-2{'ab'[number % 2]}",
            "gsd": 10,
        },
        "links": [{"rel": "self", "href": f"https://example.org/items/{number}"}],
        "assets": assets,
    }


def _ours(path: Path) -> int:
    from registry.stac.reader import read

    return int(read(path).read_all().num_rows)


def _stac_geoparquet(path: Path) -> int:
    from stac_geoparquet.arrow import parse_stac_ndjson_to_arrow

    return int(parse_stac_ndjson_to_arrow(path).read_all().num_rows)


def _rustac(path: Path) -> int:
    import rustac  # type: ignore[import-not-found,unused-ignore]

    items = rustac.read_sync(str(path))
    return int(rustac.to_arrow(items).num_rows)
