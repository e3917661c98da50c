"""A model over a scene: the whole way from a ref and a file to a map."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn import devices
from registry.learn.inference.answers import chosen_head, is_quantity
from registry.learn.inference.areas import ClassArea, areas
from registry.learn.inference.boxes import NOTHING_OBSERVED, Found, detect
from registry.learn.inference.domain import watched
from registry.learn.inference.mapping import Drawn, Options, Placed, beside, draw
from registry.learn.inference.meaning import Reading
from registry.learn.inference.outputs import check_folders, check_kind, check_places
from registry.learn.inference.scenes import open_files
from registry.learn.inference.windows import Arrays, Floats, Net
from registry.learn.inference.within import Within, within
from registry.learn.models.architecture import Head, HeadTask
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from registry.catalog import Registry
    from registry.learn.loading.contract import Contract
    from registry.learn.models.card import Card
    from registry.learn.models.predicting import Predictor
    from registry.learn.models.shelf import Model

__all__ = [
    "Prediction", "Scenes", "Then", "files_of", "options_for", "outputs", "predict",
    "predict_scene",
]  # fmt: skip

_WINDOW: Final = 256
_MULTIPLE: Final = 32  # what most encoders halve their input down by
_LARGEST: Final = 2048

Then = Callable[[Placed, "Prediction"], None]
Scenes = Path | str | Mapping[str, Path | str | Sequence[Path | str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says of a scene, and how it came to it."""

    model: str
    """The model's ref, such as ``burnscar-unet@v1``."""

    head: Head
    """Which of its answers."""

    drawn: Drawn | None
    """Map files and their counts; None of a detector."""

    found: tuple[Found, ...] = ()
    """Objects, best first; empty unless the model detects."""

    areas: tuple[ClassArea, ...] = ()
    """How much each class covers; empty of quantities and detectors."""

    said: tuple[str, ...] = ()
    """What was converted, assumed or left out, in words."""

    tested: str | None = None
    """Ref of the version whose test samples were asked for the errors of areas; None of none."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        from dataclasses import asdict

        drawn = self.drawn
        return {
            "model": self.model,
            "head": self.head.name,
            "task": str(self.head.task),
            "files": {} if drawn is None else {key: str(at) for key, at in drawn.files.items()},
            "pixels": None if drawn is None else drawn.pixels,
            "observed": None if drawn is None else drawn.observed,
            "abstained": None if drawn is None else drawn.abstained,
            "mean": None if drawn is None else drawn.mean,
            "areas": [asdict(one) for one in self.areas],
            "objects": [one.to_document() for one in self.found],
            "said": list(self.said),
        }


def options_for(card: "Card", options: Options | None = None) -> Options:
    """Return how to cut a scene for a model where nobody says: windows of the size it learned from.

    Args:
        card: The model's.
        options: What is asked for; a window of 0 asks for the model's.

    Raises:
        InvalidInputError: Windows would overlap by their whole size.
    """
    asked = options or Options(window=0)
    size = max(card.size) if card.size else _WINDOW
    window = asked.window or min(-(-size // _MULTIPLE) * _MULTIPLE, _LARGEST)
    if asked.overlap >= window:
        raise InvalidInputError(
            f"windows of {window} pixels cannot overlap by {asked.overlap}",
            hint=f"give pixels, less than a window has: --overlap {window // 4}",
        )
    return replace(
        asked, window=window, overlap=asked.overlap if asked.overlap >= 0 else window // 4
    )


def outputs(out: Path, options: Options | None) -> tuple[Path, ...]:
    """Return the files that a prediction writes: the map, and those beside it."""
    asked = options or Options()
    further = {
        "probabilities": asked.probabilities, "uncertainty": asked.uncertainty,
        "domain": asked.abstain,
    }  # fmt: skip
    return (out, *(beside(out, what) for what, wanted in further.items() if wanted))


def predict(  # noqa: PLR0913 — each is its own decision
    registry: "Registry",
    model: "Model | str",
    scene: Scenes,
    *,
    out: Path | str,
    head: str | None = None,
    reading: Reading | None = None,
    options: Options | None = None,
    device: str = "cpu",
    test: str | None = None,
    area: "BaseGeometry | None" = None,
    then: Then | None = None,
    progress: Progress = SILENT,
) -> Prediction:
    """Predict one scene.

    Args:
        registry: Where the model is.
        model: Its ref, such as ``burnscar-unet@v1``, or itself.
        scene: A file; or by input of the model a file, or files in order of time.
        out: Where the map will be; of a detector the GeoJSON.
        head: Which of the model's answers, if it has several.
        reading: What files do not say of themselves.
        options: How the scene is cut, and what is written beside the map.
        device: Where the network runs, as torch names it.
        test: Ref of a version whose test samples tell the map's errors, for areas without them.
        area: Polygons in longitudes and latitudes, beyond which nothing counts as observed.
        then: Called with the scene, still open, and what was predicted of it; without what lies
            beyond the area.
        progress: Told of windows.

    Returns:
        What is predicted, and where it is written.

    Raises:
        NotFoundError: There is no such model or file.
        UnreadableSceneError: A file is damaged, hostile, or of a kind that is not read.
        ContractMismatchError: It does not give what the model reads.
        AnswerError: The network's answers make no map.
        InvalidInputError: What would be written is read, or its suffix is of another kind; the
            area lies elsewhere, or covers no pixel.
        NoDeviceError: This machine has not the device.
    """
    from registry.learn.models import shelf

    devices.checked(device)
    found = shelf.resolve(registry, model) if isinstance(model, str) else model
    options_for(found.card, options)  # refuses before anything is opened or loaded
    files = files_of(found.card.contract, scene)
    chosen = chosen_head(found.card.heads, head)
    check_kind(Path(out), chosen)
    check_folders(outputs(Path(out), options))
    check_places(outputs(Path(out), options), [one for listed in files.values() for one in listed])
    with open_files(found.card.contract, files, reading=reading) as opened:
        bounded = None if area is None else within(opened, area)
        told = None  # the test is read before the map is drawn, which takes longer and is kept
        if test is not None:
            told = _errors(registry, found, chosen, test, device, progress)
        done = predict_scene(
            found, bounded or opened, out=Path(out), head=head, options=options, device=device,
            progress=progress,
        )  # fmt: skip
        if told is not None and test is not None:
            done = _without_errors(done, opened, told, test)
        if then is not None:
            then(bounded.blanked() if bounded else opened, done)
        return done


def _errors(
    registry: "Registry",
    model: "Model",
    head: Head,
    test: str,
    device: str,
    progress: Progress,
) -> tuple[npt.NDArray[Any], int]:
    """Return what a test tells of a map's errors, as :func:`confusion_on` does.

    Raises:
        InvalidInputError: There will be no areas, or the test does not tell their errors.
    """
    from registry.learn.inference.tested import confusion_on

    if head.task == HeadTask.DETECTION or is_quantity(head):
        raise InvalidInputError(
            f"'{head.name}' gives no areas whose errors a test could tell",
            hint="predict without --test",
        )
    return confusion_on(registry, model, head, test, device=device, progress=progress)


def _without_errors(
    done: Prediction, scene: Placed, told: tuple[npt.NDArray[Any], int], test: str
) -> Prediction:
    """Return a prediction whose areas have their errors taken out by a test."""
    if done.drawn is None:
        return done
    confusion, samples = told
    covered = areas(
        done.drawn.counts, pixel_m2=scene.placement.pixel_area_m2(), confusion=confusion,
        draws=samples,
    )  # fmt: skip
    said = f"errors of areas are those on the test samples of {test}, {samples:,} draws"
    if covered[0].adjusted_share is None:
        said = f"the {samples:,} test samples of {test} are too few to tell the errors of areas"
    return replace(done, areas=covered, said=(*done.said, said), tested=test)


def predict_scene(
    model: "Model",
    scene: Placed,
    *,
    out: Path,
    head: str | None = None,
    options: Options | None = None,
    device: str = "cpu",
    progress: Progress = SILENT,
) -> Prediction:
    """Predict a scene that is open; as :func:`predict` otherwise.

    Returns:
        What is predicted, and where it is written.
    """
    from registry.learn.models.predicting import Predictor

    card = model.card
    options = options_for(card, options)
    chosen = chosen_head(card.heads, head)
    # what scales its numbers was judged when the scene was opened
    predictor = Predictor(model, given=scene.contract, device=device, allow=("scale",))
    tags = _tags(model, options)
    said = (*scene.said, *(one for one in predictor.said if one not in scene.said))
    if chosen.task == HeadTask.DETECTION:
        further: list[str] = []
        found = detect(scene, predictor, chosen, out, options=options, model=model.ref,
                       said=further, progress=progress)  # fmt: skip
        said = (*said, *further)
        return Prediction(model=model.ref, head=chosen, drawn=None, found=found, said=said)
    net = _answers(predictor, chosen)
    if options.abstain:
        net = watched(net, predictor.embed, card.domain, name=model.ref)
    drawn = draw(scene, net, chosen, out, options=options, tags=tags, progress=progress)
    if isinstance(scene, Within):
        drawn = replace(drawn, pixels=scene.pixels)
    covered = areas(drawn.counts, pixel_m2=scene.placement.pixel_area_m2()) if drawn.counts else ()
    if not drawn.observed:
        said = (*said, NOTHING_OBSERVED)
    return Prediction(model=model.ref, head=chosen, drawn=drawn, areas=covered, said=said)


def _answers(predictor: "Predictor", head: Head) -> Net:
    def answer(arrays: Arrays) -> Mapping[str, Floats]:
        return {head.name: np.asarray(predictor(arrays)[head.name])}

    return answer


def _tags(model: "Model", options: Options) -> dict[str, str]:
    import json
    from importlib.metadata import PackageNotFoundError, version

    try:
        code = version("eo-training-data-lab")
    except PackageNotFoundError:  # run from its folder
        code = "unknown"
    return {
        "TIFFTAG_SOFTWARE": f"eolab {code}",
        "eolab_model": model.ref,
        "eolab_weights_sha256": model.card.weights_sha256 or "",
        "eolab_contract": json.dumps(model.card.contract.to_document()),
        "eolab_window": f"{options.window}, overlap {options.overlap}",
    }


def files_of(contract: "Contract", scene: Scenes) -> dict[str, list[Path]]:
    """Return files by input.

    Args:
        contract: What the model reads.
        scene: A file, or files by input.

    Raises:
        InvalidInputError: One file for a model of several inputs, or of none that is known.
    """
    if not contract.inputs:
        raise InvalidInputError(
            "nobody has said which bands the model reads, so it cannot be given a scene",
            hint="add its weights again with the model or card that they are for: "
            "eolab models add FILE --like MODEL, or --card CARD.JSON",
        )
    if isinstance(scene, Mapping):
        return {
            asset: [Path(one)] if isinstance(one, Path | str) else [Path(path) for path in one]
            for asset, one in scene.items()
        }
    if len(contract.inputs) != 1:
        names = [one.asset for one in contract.inputs]
        raise InvalidInputError(
            f"one file is given, and the model reads {len(names)}",
            hint=f"say which is which: {' '.join(f'{name}=FILE.tif' for name in names)}",
        )
    return {contract.inputs[0].asset: [Path(scene)]}
