"""The set: by random filters unless a model's file is named."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import Scene
from registry.curate.features.sets.embeddings.convolving import MOST_BANDS, embed
from registry.curate.features.sets.embeddings.model_file import (
    ModelFile,
    ModelRefusedError,
    numbers,
    read_model,
)
from registry.curate.features.sets.embeddings.modelling import Model, chosen
from registry.curate.features.sets.embeddings.session import Limits
from registry.curate.features.sets.embeddings.stack import Stack, stack
from registry.errors import InvalidInputError

__all__ = ["EMBEDDINGS", "parameterised"]

_MOST_FILTERS: Final = 4096
_MOSAIKS: Final = "Rolf et al. (2021), doi:10.1038/s41467-021-24638-z"
_ROOM: Final = "registry.curate.features.sets.embeddings"
_SEEN_BY: Final = (
    "registry.curate.features.bands",
    "registry.curate.features.clear",
    "registry.curate.features.sets.grey",
    f"{_ROOM}.stack",
)

Numbers = str | float | Sequence[float] | None


def _features(formula: str, source: str) -> tuple[Feature, ...]:
    return (
        Feature(
            name="embedding",
            meaning="what the sample looks like, as a vector",
            formula=formula,
            source=source,
            type=pa.list_(pa.float32()),
        ),
        Feature(
            name="bands",
            meaning="bands that were looked at, in order",
            formula="those asked for, else R G B, VV VH, the first three",
            source="this lab",
            type=pa.string(),
        ),
        Feature(
            name="observed_share",
            meaning="share of pixels of which every band was observed",
            formula="observed / all, over time and place",
            source="this lab",
        ),
    )


def parameterised(
    *,
    model: str | None = None,
    sha256: str | None = None,
    output: str | None = None,
    bands: str | Sequence[str] | None = None,
    scale: Numbers = None,
    offset: Numbers = None,
    filters: int = 64,
    seed: int = 0,
) -> FeatureSet:
    """Return the set with other filters, other bands, or by a model's file.

    Args:
        model: Path of an ONNX file that takes one image ``(1, band, y, x)`` of 32-bit floats.
            Its bytes are part of the recipe, its path is not.
        sha256: What these bytes must hash to, in hex; any if None.
        output: Which of the model's outputs is the embedding; the first if None.
        bands: Common letters in order, as a list or with spaces or commas between. If None: the
            model's metadata ``bands``; else ``R G B``, ``VV VH`` or the first three.
        scale: Factors from physical values to what is looked at, one a band or one for all. If
            None: the model's metadata ``scale``; else by unit and type, as
            :func:`registry.curate.features.sets.embeddings.stack.stack` says.
        offset: Added after that; the model's metadata ``offset``, else 0, if None.
        filters: How many random filters, 1 to 4096; each gives two numbers.
        seed: Which random filters.

    Raises:
        InvalidInputError: Parameters do not fit each other.
        ModelRefusedError: The model does not fit, or holds what the lab does not run.
        ModelFailedError: The model cannot be opened.
        NotFoundError: There is no such file.
        UnavailableError: onnxruntime is not installed.
    """
    if model is None:
        letters, factors, added = _asked(bands, scale, offset, {})
        return _random(letters, factors, added, filters=filters, seed=seed)
    file = read_model(Path(model))
    if sha256 is not None and sha256.lower() != file.sha256:
        raise ModelRefusedError(
            f"{Path(model).name} has SHA-256 {file.sha256}, not {sha256}",
            hint="fetch the file again, or leave sha256 out",
        )
    letters, factors, added = _asked(bands, scale, offset, file.properties)
    return _by_model(file, output, letters, factors, added)


_Asked = tuple[tuple[str, ...] | None, tuple[float, ...] | None, tuple[float, ...] | None]


def _asked(
    bands: str | Sequence[str] | None, scale: Numbers, offset: Numbers, said: Mapping[str, str]
) -> _Asked:
    words = said.get("bands") if bands is None else bands
    letters = words.replace(",", " ").split() if isinstance(words, str) else words
    factors = _numbers(said.get("scale") if scale is None else scale, "scale")
    added = _numbers(said.get("offset") if offset is None else offset, "offset")
    for name, given in (("scale", factors), ("offset", added)):
        if given is not None and len(given) not in {1, len(letters or ())}:
            raise InvalidInputError(
                f"{len(given)} numbers of {name} do not fit {len(letters or ())} bands",
                hint="give one for all bands, or one for each band that you name",
            )
    return tuple(letters) if letters else None, factors, added


def _numbers(given: Numbers, what: str) -> tuple[float, ...] | None:
    if given is None:
        return None
    if isinstance(given, str):
        return numbers(given, what)
    return (float(given),) if isinstance(given, int | float) else tuple(map(float, given))


def _random(
    letters: tuple[str, ...] | None,
    factors: tuple[float, ...] | None,
    added: tuple[float, ...] | None,
    *,
    filters: int,
    seed: int,
) -> FeatureSet:
    if not 1 <= filters <= _MOST_FILTERS or len(letters or ()) > MOST_BANDS:
        raise InvalidInputError(
            f"{filters} filters of {len(letters or ())} bands cannot be drawn",
            hint=f"take 1 to {_MOST_FILTERS:,} filters and at most {MOST_BANDS} bands",
        )

    def of_stack(seen: Stack) -> object:
        return embed(seen, filters=filters, seed=seed)

    return FeatureSet(
        name="embeddings",
        version=1,
        title="Embeddings: random convolutional features, or by an ONNX file",
        features=_features(
            f"means of max(0, ±(w * x + b)) over windows, {filters} drawn filters w, b of 3 x 3",
            _MOSAIKS,
        ),
        needs=Needs(arrays=True),
        by_scene=_values(of_stack, letters, factors, added),
        variant=parameterised,
        parameters={
            "bands": letters,
            "scale": factors,
            "offset": added,
            "filters": filters,
            "seed": seed,
        },
        made_of=(f"{_ROOM}.convolving", *_SEEN_BY),
    )


def _by_model(
    file: ModelFile,
    output: str | None,
    letters: tuple[str, ...] | None,
    factors: tuple[float, ...] | None,
    added: tuple[float, ...] | None,
) -> FeatureSet:
    model: Model = chosen(file, output, Limits())
    count = model.taken.shape[1]
    if letters is not None and count is not None and count != len(letters):
        raise ModelRefusedError(
            f"the model takes {count} bands, and {len(letters)} are named: {' '.join(letters)}",
            hint="name its bands in order",
        )

    def of_stack(seen: Stack) -> object:
        return model.embed(seen)

    parameters: dict[str, Any] = {"bands": letters, "scale": factors, "offset": added}
    return FeatureSet(
        name="embeddings",
        version=1,
        title=f"Embeddings by the model {file.sha256[:12]}",
        features=_features(f"{model.wanted.name}(bands)", f"ONNX file, SHA-256 {file.sha256}"),
        needs=Needs(arrays=True),
        by_scene=_values(of_stack, letters, factors, added),
        variant=parameterised,
        parameters=parameters | {"model_sha256": file.sha256, "output": model.wanted.name},
        made_of=(
            f"{_ROOM}.modelling",
            *_SEEN_BY,
            f"numpy=={version('numpy')}",
            f"onnxruntime=={version('onnxruntime')}",
        ),
    )


def _values(
    of_stack: Callable[[Stack], object],
    letters: tuple[str, ...] | None,
    factors: tuple[float, ...] | None,
    added: tuple[float, ...] | None,
) -> Callable[[Scene], Mapping[str, object]]:
    def embeddings(scene: Scene) -> Mapping[str, object]:
        seen = stack(scene, letters, scale=factors, offset=added)
        return {
            "embedding": of_stack(seen),
            "bands": " ".join(seen.bands),
            "observed_share": float(seen.seen.mean()),
        }

    return embeddings


EMBEDDINGS: Final = parameterised()
