"""A model as a STAC item with the Machine Learning Model extension."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from registry.errors import RegistryError
from registry.learn.models.architecture import Head, HeadTask
from registry.stac.validation import EXTENSIONS as CHECKED
from registry.stac.validation import STAC_VERSION

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.learn.loading.contract import Band, Contract, Input
    from registry.learn.models.card import Card

__all__ = ["CLASSIFICATION", "MLM", "RASTER", "Learned", "item", "item_text"]

MLM: Final = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
"""The extension that describes models."""

CLASSIFICATION: Final = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
"""The extension that describes classes."""

RASTER: Final = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
"""How the model extension wants bands to be described: by a version of before STAC 1.1."""

_TASKS: Final[Mapping[HeadTask, tuple[str, ...]]] = {
    HeadTask.CLASSIFICATION: ("scene-classification", "classification"),
    HeadTask.MULTILABEL: ("scene-classification", "classification"),
    HeadTask.SEGMENTATION: ("semantic-segmentation", "segmentation"),
    HeadTask.CHANGE: ("semantic-segmentation", "segmentation"),
    HeadTask.REGRESSION: ("regression",),
    HeadTask.PIXEL_REGRESSION: ("regression",),
    HeadTask.DETECTION: ("object-detection", "detection"),
    HeadTask.RECONSTRUCTION: ("generative",),
    HeadTask.CONTRASTIVE: ("similarity-search",),
}
_DENSE: Final = frozenset({HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.PIXEL_REGRESSION})
_TYPES: Final = {
    ".safetensors": "application/octet-stream; application=safetensors",
    ".json": "application/json",
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".parquet": "application/vnd.apache.parquet",
    ".onnx": "application/octet-stream; framework=onnx",
}
_ARTIFACTS: Final = {".safetensors": "safetensors.torch.save_file", ".onnx": "torch.onnx.export"}
_SHA256: Final = "1220"  # of a multihash: the function, and 32 bytes
_MOST_HYPER: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Where and when the samples lie that a model learned from."""

    bbox: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0)
    """West, south, east, north in degrees; west is greater across the antimeridian."""

    start: str | None = None
    """The first moment, as STAC writes it; None where nobody says."""

    end: str | None = None
    """The last one."""

    @classmethod
    def by(cls, registry: "Registry", card: "Card") -> "Learned":
        """Return where a model learned; the whole world where its dataset is not at hand."""
        from registry.stac import collection

        refs = [] if card.lineage is None or card.smoke else card.lineage.dataset.split(",")
        try:
            said = [collection(registry.resolve(ref.strip()))["extent"] for ref in refs]
        except RegistryError:  # a training is not lost because its place cannot be said
            return cls()
        if len(said) != 1:  # of several datasets only their links are said
            return cls()
        west, south, east, north = said[0]["spatial"]["bbox"][0]
        start, end = said[0]["temporal"]["interval"][0]
        return cls(bbox=(west, south, east, north), start=start, end=end)


def item_text(card: "Card", files: Mapping[str, Path], learned: Learned | None = None) -> str:
    """Return :func:`item` as JSON text."""
    said = item(card, files, learned)
    return json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def item(card: "Card", files: Mapping[str, Path], learned: Learned | None = None) -> dict[str, Any]:
    """Return a model as a STAC item.

    Args:
        card: What is said of it.
        files: Its files by name; they are hashed, and the weights' header is read.
        learned: Where and when its samples lie; the whole world at any time if None.

    Returns:
        The item.

    References:
        STAC 1.1.0; Machine Learning Model extension 1.5.2, README.
    """
    seen = learned or Learned()
    extensions, bands = [MLM, CHECKED["file"]], _bands(card.contract)
    if bands:
        extensions.append(RASTER)
    if any(head.classes for head in card.heads):
        extensions.append(CLASSIFICATION)
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": extensions,
        "id": card.name,
        "geometry": _outline(seen.bbox),
        "bbox": list(seen.bbox),
        "properties": _properties(card, files, seen),
        "links": _links(card),
        "assets": {name: _asset(name, path, bands) for name, path in sorted(files.items())},
    }


def _outline(bbox: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = bbox
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    rings = [[[a, south], [b, south], [b, north], [a, north], [a, south]] for a, b in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def _properties(card: "Card", files: Mapping[str, Path], learned: Learned) -> dict[str, Any]:
    from registry.learn.models.weights import header

    weights = header(files["model.safetensors"])
    lineage = card.lineage
    tasks = dict.fromkeys(task for head in card.heads for task in _TASKS[head.task])
    source = None if lineage is None else lineage.parent or _first(lineage.pretrained_on)
    said: dict[str, Any] = {
        "datetime": None,
        "start_datetime": learned.start or "1900-01-01T00:00:00Z",
        "end_datetime": learned.end or "9999-12-31T23:59:59Z",
        "title": card.name,
        "mlm:name": _mlm_name(card.name),
        "mlm:architecture": _architecture(card),
        "mlm:framework": "PyTorch",
        "mlm:framework_version": _torch_version(),
        "mlm:tasks": list(tasks),
        "mlm:total_parameters": sum(math.prod(shape) for _, shape in weights.values()),
        "mlm:memory_size": files["model.safetensors"].stat().st_size,
        "mlm:pretrained": source is not None,
        "mlm:pretrained_source": source,
        "mlm:input": [_input(one, card.size) for one in card.contract.inputs],
        "mlm:output": [_output(head, card.size) for head in card.heads],
        "mlm:hyperparameters": _hyperparameters(card),
        "license": _licence(card),
        "eolab:smoke": card.smoke,
        "eolab:metrics": card.to_document()["metrics"],
    }
    empty = ("mlm:framework_version", "mlm:hyperparameters", "license", "eolab:metrics")
    return {key: value for key, value in said.items() if value or key not in empty}


def _first(refs: tuple[str, ...]) -> str | None:
    return refs[0] if refs else None


def _architecture(card: "Card") -> str:
    args = card.architecture.args
    parts = [args.get(key) for key in ("name", "encoder_name", "backbone", "class_path", "model")]
    named = " ".join(str(part) for part in parts if part)
    return f"{card.architecture.factory}: {named}" if named else card.architecture.factory


def _torch_version() -> str | None:
    try:
        found = re.match(r"\d+\.\d+\.\d+", version("torch"))
    except PackageNotFoundError:
        return None
    return found[0] if found else None


def _licence(card: "Card") -> str | None:
    from registry.catalog.card.licence import spdx

    return spdx(card.licence) or ("other" if card.licence else None)


def _hyperparameters(card: "Card") -> dict[str, Any]:
    """Return the recipe's values by dotted names, seed included."""
    found: dict[str, Any] = {} if card.seed is None else {"seed": card.seed}
    plain = json.loads(card.to_json())

    def walk(value: object, prefix: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{prefix}.{key}" if prefix else str(key))
        elif value is not None and len(found) < _MOST_HYPER:
            found[re.sub(r"[^0-9a-zA-Z_.-]", "_", prefix) or "_"] = value

    walk(plain["recipe"], "")
    walk(plain["architecture"]["args"], "architecture")
    return found


# ------------------------------------------------------------- what goes in and out
def _input(one: "Input", size: tuple[int, int] | None) -> dict[str, Any]:
    height, width = size or (-1, -1)
    frames = [] if one.frames is None else [one.frames]
    axes = ["batch", *(["time"] if frames else []), "bands", "height", "width"]
    said: dict[str, Any] = {
        "name": one.asset,
        "bands": [band.name for band in one.bands],
        "input": {
            "shape": [-1, *frames, len(one.bands), height, width],
            "dim_order": axes,
            "data_type": "float32",
        },
        "description": _described(one),
        "value_scaling": _scaling(one.bands),
        "resize_type": None,
    }
    return said


def _described(one: "Input") -> str:
    units = sorted({band.unit for band in one.bands if band.unit})
    facts = [
        "values as they are stored",
        f"level {one.level}" if one.level else "",
        f"{one.gsd:g} m" if one.gsd is not None else "",
        f"nodata {one.nodata:g}, which becomes 0 after scaling" if one.nodata is not None else "",
        f"in {', '.join(units)} after scale and offset" if units else "",
    ]
    return "; ".join(fact for fact in facts if fact)


def _scaling(bands: "tuple[Band, ...]") -> list[dict[str, Any]] | None:
    # From stored values, as the extension means it: scale and offset are part of it.
    if any(band.mean is None or band.std is None for band in bands):
        return None
    return [
        {
            "type": "z-score",
            "mean": (float(band.mean or 0.0) - band.offset) / band.scale,
            "stddev": float(band.std or 1.0) / band.scale,
        }
        for band in bands
    ]


def _bands(contract: "Contract") -> list[dict[str, Any]]:
    said: dict[str, dict[str, Any]] = {}
    for one in contract.inputs:
        for band in one.bands:
            facts = {
                "name": band.name,
                "unit": band.unit,
                "scale": band.scale,
                "offset": band.offset,
                "nodata": one.nodata,
                "spatial_resolution": one.gsd,
            }
            said.setdefault(band.name, {k: v for k, v in facts.items() if v is not None})
    return list(said.values())


def _output(head: Head, size: tuple[int, int] | None) -> dict[str, Any]:
    height, width = size or (-1, -1)
    shape, axes = [-1, len(head.classes) or 1], ["batch", "class" if head.classes else "quantity"]
    if head.task is HeadTask.DETECTION:
        shape, axes = [-1, -1, 6], ["batch", "object", "box-score-class"]
    elif head.task in {HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE}:
        shape, axes = [-1, -1], ["batch", "embedding"]
    elif head.task in _DENSE:
        shape, axes = [*shape, height, width], [*axes, "height", "width"]
    said: dict[str, Any] = {
        "name": head.name,
        "tasks": list(_TASKS[head.task]),
        "result": {"shape": shape, "dim_order": axes, "data_type": "float32"},
        "classification:classes": [
            {"value": value, "name": _plain(name), "title": name}
            for value, name in enumerate(head.classes)
        ],
    }
    if head.unit:
        said["description"] = f"in {head.unit}; outputs are times {head.std:g} plus {head.mean:g}"
    return said


def _plain(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z-_]", "_", name) or "class"


# ------------------------------------------------------------------ links and files
def _links(card: "Card") -> list[dict[str, Any]]:
    lineage = card.lineage
    if lineage is None:
        return []
    datasets = [one.strip() for one in lineage.dataset.split(",")]
    links: list[dict[str, Any]] = [
        {
            **_link(dataset, f"dataset {dataset}"),
            "eolab:content_id": lineage.content_id,
            "eolab:commit": lineage.commit,
            **({"eolab:split": lineage.split} if lineage.split else {}),
        }
        for dataset in datasets
    ]
    if lineage.parent:
        name = _mlm_name(lineage.parent.partition("@")[0])
        links.append({**_link(lineage.parent, f"model {lineage.parent}"), "mlm:name": name})
    return links + [_link(ref, f"pretrained on {ref}") for ref in lineage.pretrained_on]


def _link(ref: str, title: str) -> dict[str, Any]:
    return {"rel": "derived_from", "href": f"eolab:{quote(ref, safe='@/')}", "title": title}


def _mlm_name(name: str) -> str:
    plain = re.sub(r"[^a-zA-Z0-9_.\-]", "-", name).strip("-_.")
    return plain if plain[:1].isalpha() and len(plain) > 2 else f"model-{plain or 0}"  # noqa: PLR2004 — the schema's least


def _asset(name: str, path: Path, bands: list[dict[str, Any]]) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    suffix = Path(name).suffix.lower()
    said: dict[str, Any] = {
        "href": f"./{name}",
        "type": _TYPES.get(suffix, "application/octet-stream"),
        "roles": ["metadata"],
        "file:size": path.stat().st_size,
        "file:checksum": _SHA256 + digest,
    }
    if suffix in _ARTIFACTS:
        said |= {"roles": ["mlm:model", "mlm:weights"], "mlm:artifact_type": _ARTIFACTS[suffix]}
        if bands:
            said["raster:bands"] = bands
    elif said["type"].startswith("image/"):
        said["roles"] = ["overview"]
    return said
