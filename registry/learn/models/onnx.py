"""A model as an ONNX file that takes stored values, proven to answer what the model answers."""

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError, RejectedError, UnavailableError
from registry.learn.loading.conversion import Conversion, conversion
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.opening import network as network_of
from registry.learn.models.predicting import answer_of
from registry.learn.models.shelf import Model

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import Tensor, nn

    from registry.learn.loading.contract import Input

__all__ = ["TOLERANCE", "ExportDiffersError", "Exported", "export"]

TOLERANCE: Final = 1e-4
"""How much an answer may differ from the model's own: of a probability, or of a quantity's
standard deviation; and as much of the value itself."""

_MOST_BYTES: Final = 1_900_000_000  # Protocol Buffers end at 2 GiB
_OPSET: Final = 20
_SIDE: Final = 64  # pixels, of a model that does not say
_QUANTITIES: Final = frozenset({HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION})
_UNFIT: Final = frozenset({HeadTask.DETECTION})
_SILENT: Final = frozenset({HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE})
Arrays = dict[str, npt.NDArray[np.float32]]


class ExportDiffersError(RejectedError):
    """An exported model does not answer what the model answers, so it was not written."""

    code = "export-differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A model that was written as ONNX."""

    path: Path
    """The file."""

    inputs: Mapping[str, tuple[str | int, ...]]
    """By asset, the shape that it takes; words where any length will do."""

    outputs: tuple[str, ...]
    """Names of its answers: those of the heads, or ``embedding`` where the model only embeds."""

    multiple_of: int
    """What height and width must be a multiple of, in pixels; 1 for any."""

    differs: float
    """The largest difference that was found, in units of :data:`TOLERANCE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One way to export: which sizes it is asked to take, and which prove it."""

    example: tuple[int, int]
    proofs: tuple[tuple[int, int], ...]
    multiple: int
    any_size: bool


def export(model: Model, path: Path, *, trust: bool = False) -> Exported:
    """Write a model as ONNX: stored values in, probabilities and quantities out.

    Its normalisation is part of the file; where nothing was observed, it sees what the model sees.
    Any number of samples is taken, and any size of image where the network takes them; what is
    claimed is proven by asking both on stored values made for it. All inputs are float32.

    Args:
        model: A version, which is no detector.
        path: The file, which is replaced when everything agrees.
        trust: Whether a class that the model names may be imported.

    Returns:
        What was written.

    Raises:
        ExportDiffersError: It answers otherwise than the model; nothing was written.
        InvalidInputError: It gives boxes, or cannot be put into one file.
        UnavailableError: The packages that export are not installed.
    """
    _check(model)
    network = network_of(model, trust=trust)
    plain = _plain(model, network)
    found: list[Exception] = []
    for way in _ways(model, network):
        try:
            proto = _converted(plain, model, way)
        except _CannotError as error:
            found.append(error)
            continue
        differs = max(_difference(proto, plain, model, size) for size in way.proofs)
        if differs <= 1:
            return _written(proto, model, path, way, differs)
        found.append(_CannotError(f"its answers differ by {differs * TOLERANCE:.2g}"))
    raise ExportDiffersError(
        f"{model.ref} cannot be exported so that it answers the same: {found[-1]}",
        hint="take its weights: eolab models export --safetensors; or another architecture",
    ) from found[-1]


class _CannotError(Exception):
    """Why one way does not lead there."""


def _check(model: Model) -> None:
    from importlib.util import find_spec

    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]:
        raise UnavailableError(
            f"an export needs the packages {', '.join(missing)}",
            hint="pip install onnx onnxscript onnxruntime",
        )
    if any(head.task in _UNFIT for head in model.card.heads):
        raise InvalidInputError(
            f"{model.ref} gives boxes, whose number is not known before",
            hint="take its weights: eolab models export --safetensors",
        )
    if (size := model.files["model.safetensors"]) > _MOST_BYTES:
        raise InvalidInputError(
            f"{model.ref} has {size >> 20:,} MiB of weights, more than one ONNX file holds",
            hint="take its weights: eolab models export --safetensors",
        )


def _plain(model: Model, network: "nn.Module") -> "nn.Module":
    """Return a module that takes stored values and gives what a predictor gives, as tensors."""
    import torch

    card = model.card
    steps = conversion(card.contract, card.contract)
    answering = [head for head in card.heads if head.task not in _SILENT]

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network: Any = network
            for number, one in enumerate(card.contract.inputs):
                centre, gain = _centre_and_gain(steps, one)
                self.register_buffer(f"centre{number}", torch.from_numpy(centre))
                self.register_buffer(f"gain{number}", torch.from_numpy(gain))

        def forward(self, *stored: "Tensor") -> "tuple[Tensor, ...]":
            inputs = {}
            for number, (one, values) in enumerate(zip(card.contract.inputs, stored, strict=True)):
                centre, gain = getattr(self, f"centre{number}"), getattr(self, f"gain{number}")
                seen = torch.isfinite(values)
                if one.nodata is not None:
                    seen = seen & (values != one.nodata)
                zero = torch.zeros_like(values)
                inputs[one.asset] = torch.where(seen, (values - centre) * gain, zero)
            if not answering:
                return (self.network.embed(inputs),)
            answers = self.network(inputs)
            return tuple(_meant(head, answers[head.name]) for head in answering)

    return Plain().eval()


def _centre_and_gain(
    steps: Conversion, one: "Input"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    found = steps.steps[one.asset]
    shape = (len(found), 1, 1)  # (band, y, x)
    centre = np.array([step.centre for step in found], np.float32).reshape(shape)
    return centre, np.array([step.gain for step in found], np.float32).reshape(shape)


def _meant(head: Head, raw: "Tensor") -> "Tensor":
    # The same as answer_of, which leaves torch.
    if head.task in _QUANTITIES:
        return raw * head.std + head.mean
    several = head.task is HeadTask.MULTILABEL or len(head.classes) < 2  # noqa: PLR2004 — one class is yes or no
    return raw.sigmoid() if several else raw.softmax(1)


def _ways(model: Model, network: "nn.Module") -> Iterator[_Way]:
    # From what is most useful to what always is: any size, multiples of the stride, one size.
    card = model.card
    stride = int(getattr(network, "stride", 1) or 1)
    alike = len({one.gsd for one in card.contract.inputs}) == 1
    if alike:
        step = max(stride, 8)
        odd = (2 * step + max(1, step // 2), 3 * step + max(1, step // 4))
        proofs = (odd, (2 * step, 2 * step), (3 * step + 1, 2 * step))
        yield _Way(example=odd, proofs=proofs, multiple=1, any_size=True)
        even = (2 * step, 3 * step)
        yield _Way(example=even, proofs=(even, (step, step)), multiple=stride, any_size=True)
    size = card.size or (_SIDE, _SIDE)
    yield _Way(example=size, proofs=(size,), multiple=1, any_size=False)


def _arrays(model: Model, size: tuple[int, int], *, samples: int) -> Arrays:
    # Stored values such as the model's data have them, some of them not observed.
    card, arrays = model.card, {}
    steps = conversion(card.contract, card.contract)
    random = np.random.default_rng(0)
    gsd = min((one.gsd or 1.0) for one in card.contract.inputs)
    for one in card.contract.inputs:
        centre, gain = _centre_and_gain(steps, one)
        sides = tuple(max(1, round(side * gsd / (one.gsd or gsd))) for side in size)
        frames = () if one.frames is None else (one.frames,)
        shape = (samples, *frames, len(one.bands), *sides)
        values = centre + random.standard_normal(shape).astype(np.float32) / gain
        values[..., :2, :3] = np.nan if one.nodata is None else one.nodata
        arrays[one.asset] = values.astype(np.float32)
    return arrays


def _converted(plain: "nn.Module", model: Model, way: _Way) -> "ModelProto":
    import torch

    example = _arrays(model, way.example, samples=2)
    free = torch.export.Dim.DYNAMIC
    shapes = tuple(
        {0: free, **({len(a.shape) - 2: free, len(a.shape) - 1: free} if way.any_size else {})}
        for a in example.values()
    )
    try:
        with warnings.catch_warnings():  # of the exporter's own code; what counts is proven after
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                plain,
                tuple(torch.from_numpy(one) for one in example.values()),
                dynamo=True,
                input_names=list(example),
                output_names=list(_outputs(model)),
                dynamic_shapes=(shapes,),
                opset_version=_OPSET,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter runs the network's code, which may raise anything
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise _CannotError(lines[0][:200] if lines else type(error).__name__) from error
    if program is None:
        raise _CannotError("the exporter gave nothing")
    return _named(program.model_proto, list(example))


def _outputs(model: Model) -> tuple[str, ...]:
    names = tuple(head.name for head in model.card.heads if head.task not in _SILENT)
    return names or ("embedding",)


def _named(proto: "ModelProto", assets: Sequence[str]) -> "ModelProto":
    # Free lengths of inputs and outputs get names that people know.
    known: dict[str, str] = {}
    for port in proto.graph.input:
        if port.name in assets:
            lengths = port.type.tensor_type.shape.dim
            for place, word in ((0, "batch"), (-2, "height"), (-1, "width")):
                known.setdefault(lengths[place].dim_param, word)
    known.pop("", None)
    for port in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for length in port.type.tensor_type.shape.dim:
            if length.dim_param in known:
                length.dim_param = known[length.dim_param]
    return proto


def _difference(
    proto: "ModelProto", plain: "nn.Module", model: Model, size: tuple[int, int]
) -> float:
    """Return how far the file's answers are from the model's, in units of the tolerance."""
    from onnxruntime import InferenceSession, SessionOptions
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    arrays = _arrays(model, size, samples=3)
    try:
        session = InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(list(_outputs(model)), arrays)
    except (
        native.Fail,
        native.InvalidArgument,
        native.InvalidGraph,
        native.NotImplemented,
        native.RuntimeException,
    ):
        return float("inf")
    given = {one.asset: arrays[one.asset] for one in model.card.contract.inputs}
    true = _true(model, plain, given)
    worst = 0.0
    for name, one in zip(_outputs(model), found, strict=True):
        if one.shape != true[name].shape or not np.isfinite(one).all():
            return float("inf")
        unit = next((head.std for head in model.card.heads if head.name == name), 1.0)
        allowed = TOLERANCE * (unit + np.abs(true[name]))
        worst = max(worst, float((np.abs(one - true[name]) / allowed).max()))
    return worst


def _true(model: Model, plain: "nn.Module", arrays: Arrays) -> Arrays:
    # What the model itself says, by the way that predictions take.
    import torch

    steps = conversion(model.card.contract, model.card.contract)
    inputs = {name: torch.from_numpy(steps.apply(name, one)) for name, one in arrays.items()}
    network: Any = getattr(plain, "network")  # noqa: B009 — set by the class above
    with torch.inference_mode():
        answering = [head for head in model.card.heads if head.task not in _SILENT]
        if not answering:
            return {"embedding": network.embed(inputs).numpy()}
        answers = network(inputs)
        made = {head.name: answer_of(head, answers[head.name]) for head in answering}
    return {name: one for name, one in made.items() if not isinstance(one, tuple)}


def _written(proto: "ModelProto", model: Model, path: Path, way: _Way, differs: float) -> Exported:
    import onnx

    card = model.card
    said = json.loads(card.to_json())
    onnx.helper.set_model_props(
        proto,
        {
            "eolab:model": model.ref,
            "eolab:contract": json.dumps(said["contract"]),
            "eolab:heads": json.dumps(said["heads"]),
            "eolab:lineage": json.dumps(said["lineage"]),
            "eolab:licence": card.licence or "",
            "eolab:smoke": json.dumps(card.smoke),
            "eolab:multiple_of": str(way.multiple),
            "eolab:tolerance": str(TOLERANCE),
            "eolab:values": "stored",
        },
    )
    proto.producer_name, proto.doc_string = "eolab", f"{model.ref}: takes stored values"
    onnx.checker.check_model(proto)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".eolab-") as folder:
        half = Path(folder) / "model.onnx"
        half.write_bytes(proto.SerializeToString(deterministic=True))
        half.replace(path)
    inputs = {
        port.name: tuple(
            length.dim_param or length.dim_value for length in port.type.tensor_type.shape.dim
        )
        for port in proto.graph.input
    }
    return Exported(
        path=path,
        inputs=inputs,
        outputs=_outputs(model),
        multiple_of=way.multiple,
        differs=differs,
    )
