"""What a batch says: what a network reads of it, and what its heads should answer."""

from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Head, HeadTask

__all__ = ["COUNTED", "SHARES", "boxes_of", "inputs_of", "truth_of"]

COUNTED: Final = "counted"
"""Key of a batch: how many of its first samples count."""

SHARES: Final = "shares"
"""Key of a batch: what its loss counts among the batches of a step, ``(head,)``, 1 on average."""


def inputs_of(contract: Contract, batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what a network reads of a batch.

    Args:
        contract: What it reads.
        batch: By TorchGeo's keys: the first asset is ``image``, others have their names.

    Returns:
        Tensors by asset, with ``<asset>_valid`` and ``<asset>_day`` where there are such.
    """
    read: dict[str, Tensor] = {}
    for number, one in enumerate(contract.inputs):
        key = "image" if number == 0 else one.asset
        if key not in batch:
            continue
        read[one.asset] = batch[key]
        if (seen := batch.get(f"{key}_valid")) is not None:
            read[f"{one.asset}_valid"] = seen.flatten(-2).any(-1) if seen.ndim > 2 else seen  # noqa: PLR2004 — has y and x
        if (times := batch.get(f"{key}_times")) is not None:
            read[f"{one.asset}_day"] = _day(times)
    return read


def truth_of(head: Head, batch: Mapping[str, Any]) -> Tensor:
    """Return what a head should have answered.

    Args:
        head: Which.
        batch: As a loader gives it.

    Returns:
        Classes, presences or quantities.

    Raises:
        InvalidInputError: The batch has nothing of the kind.
    """
    keys = {
        HeadTask.CLASSIFICATION: ("label",),
        HeadTask.MULTILABEL: ("labels", "label"),
        HeadTask.REGRESSION: ("target", "label"),
    }.get(head.task, ("mask",))
    named = (head.asset,) if head.asset is not None else ()
    for key in (*named, *keys):
        if key in batch:
            return cast("Tensor", batch[key])
    raise InvalidInputError(
        f"the batch has no '{keys[0]}' for head '{head.name}'; it has {', '.join(batch)}",
        hint="say in the recipe which asset the head learns from: heads.0.asset",
    )


def boxes_of(batch: Mapping[str, Any]) -> list[dict[str, Tensor]]:
    """Return the boxes of a batch as detectors take them.

    Args:
        batch: With ``bbox_xyxy`` and ``label``, a tensor a sample each.

    Returns:
        ``boxes`` (object, 4) and ``labels`` (object,) of each sample.
    """
    pairs = zip(batch["bbox_xyxy"], batch["label"], strict=True)
    return [{"boxes": boxes, "labels": labels} for boxes, labels in pairs]


def _day(seconds: Tensor) -> Tensor:
    """Return days of year, from 1; 0 where there is no time."""
    known = torch.nan_to_num(seconds.double(), nan=0.0)
    days = np.floor(known.cpu().numpy() / 86_400).astype("datetime64[D]")
    of_year = (days - days.astype("datetime64[Y]")).astype(np.float32) + 1
    return torch.from_numpy(of_year).to(seconds.device) * torch.isfinite(seconds)
