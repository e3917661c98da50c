"""``python docs/features.py``: write the reference of features from the sets' own definitions."""

import sys
from collections.abc import Iterable
from itertools import groupby, takewhile
from pathlib import Path

from registry.curate.features.bands import OPTICAL, RADAR
from registry.curate.features.catalogue import BUILT_IN, feature_set
from registry.curate.features.definition import Feature, FeatureSet

PAGE = Path(__file__).parent / "reference" / "features.md"
_HEAD = f"""# Features

Every set of the catalogue, with each column's formula, source and unit. A set is a table
`features/<set>` with one row a sample, but for `statistics` (a row a band in a subset of a
split) and `zones` (a row an annotation, asset, time step and band); `eolab features show SET`
says the same. This page is made from the definitions themselves.

- **Bands** are written by their common letters:
  `{" ".join(OPTICAL)}` for optical and thermal bands,
  `{" ".join(RADAR)}` for radar, `E` for elevation. A card's band names are turned into letters
  where they leave no doubt; `B5` alone is near infrared of Landsat 8 and red edge of Sentinel-2, so
  name the sensor in the asset's title.
- **Values** are physical: the card's scale and offset are applied, nodata is left out.
- **Clear** is what a sensor's own mask among the assets or bands says: Sentinel-2 `SCL`, Landsat
  `QA_PIXEL` and `pixel_qa`, HLS `Fmask`, a `cloud_mask`, or a mask whose classes name clouds.
  Without one, every pixel that was observed counts.
- **A column is null** where its bands are not there, where its formula needs reflectance and the
  card does not declare it, or where no pixel has a value.
- **Several columns** are written as one row: `ndvi_` with `mean`, `std` stands for `ndvi_mean` and
  `ndvi_std`.
"""
_CELL = str.maketrans({"|": "\\|", "\n": " ", "*": "\\*", "_": "\\_", "<": "&lt;", "]": "&#93;"})


def page() -> str:
    """Return the whole page as Markdown."""
    sets = [feature_set(name, {}) for name in sorted(BUILT_IN)]
    contents = "\n".join(f"- [{one.name}](#{one.name}): {one.title}" for one in sets)
    return "\n".join([_HEAD, contents, "", *(_section(one) for one in sets)])


def _section(made: FeatureSet) -> str:
    rows = "\n".join(_row(list(group)) for _, group in groupby(made.features, _kin))
    return (
        f"## {made.name}\n\n{made.title}. Version {made.version}; {_count(made)}.\n\n"
        f"{_needs(made)}\n\n"
        "| column | meaning | formula | bands | unit | type | source |\n"
        "|---|---|---|---|---|---|---|\n"
        f"{rows}\n"
    )


def _count(made: FeatureSet) -> str:
    return f"{len(made.features)} column{'s' if len(made.features) > 1 else ''}"


def _needs(made: FeatureSet) -> str:
    needs = made.needs
    parts = [
        *([f"arrays of role {' or '.join(needs.roles)}"] if needs.arrays else []),
        *([f"bands {' '.join(needs.bands)}"] if needs.bands else []),
        *([f"one of bands {' '.join(needs.any_band)}"] if needs.any_band else []),
        *(["annotations"] if needs.annotations else []),
        *([f"columns {', '.join(f'`{name}`' for name in needs.columns)}"] if needs.columns else []),
    ]
    return f"Needs {'; '.join(parts) or 'nothing'}."


def _kin(feature: Feature) -> tuple[object, ...]:
    """Return what columns that differ by their statistic alone have in common."""
    stem, _, _ = feature.name.rpartition("_")
    same = (feature.unit, feature.source, feature.bands, str(feature.type))
    return (stem or feature.name, _formula(feature), *same)


def _formula(feature: Feature) -> str:
    """Return ``mean(N - R)`` as ``(N - R)`` where the column is the mean."""
    _, _, statistic = feature.name.rpartition("_")
    return feature.formula.removeprefix(statistic)


def _row(group: list[Feature]) -> str:
    first = group[0]
    if len(group) == 1:
        column, meaning, formula = f"`{first.name}`", first.meaning, first.formula
    else:
        stem = first.name.rpartition("_")[0] + "_"
        ends = " ".join(f"`{one.name.removeprefix(stem)}`" for one in group)
        column, formula = f"`{stem}` with {ends}", _formula(first)
        meaning = _shared_end(one.meaning for one in group) or first.meaning
    bands = " ".join(first.bands)
    cells = (meaning, formula, bands, first.unit, str(first.type), first.source)
    return " | ".join(["| " + column, *(one.translate(_CELL) for one in cells)]) + " |"


def _shared_end(meanings: Iterable[str]) -> str:
    backwards = zip(*(reversed(meaning.split()) for meaning in meanings), strict=False)
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, backwards)]
    return " ".join(reversed(shared)).removeprefix("of ").removeprefix("the ")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
