"""Lightning modules: a network, what it learns by, and how its weights move."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.training.batches import COUNTED, SHARES, boxes_of, inputs_of, truth_of
from registry.learn.training.losses import known_of, loss_of, weighted
from registry.learn.training.measures import Measure, measure_of
from registry.learn.training.recipe import Recipe

__all__ = ["Task", "rate"]

_OWN = {HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE}
_CLASSED = {
    HeadTask.CLASSIFICATION, HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.MULTILABEL,
}  # fmt: skip
_RISING = 0.3  # share of a cycle in which its rate rises


class Task(lightning.LightningModule):
    """What is learnt, for the lab's own loop and for any Lightning trainer.

    Args:
        network: Built by :func:`registry.learn.models.factory.build`.
        recipe: How it learns.
        heads: What it gives, in the order of the recipe's.
        contract: What it reads.
        steps: How many steps there will be.
        weights: By head, what errors on each class count.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        recipe: Recipe,
        heads: Sequence[Head],
        contract: Contract,
        steps: int,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe, self.heads, self.contract = recipe, tuple(heads), contract
        self.steps = max(1, steps)
        self.teacher = copy.deepcopy(network).requires_grad_(False) if recipe.semi else None  # noqa: FBT003 — torch's own
        self.class_weights = dict(weights or {})
        self.measures: dict[str, Measure] = {}
        self.losses_seen: list[tuple[str, float, int]] = []  # head, mean, of how many answers

    @property
    def answering(self) -> nn.Module:
        """The network that becomes the model: the teacher, where there is one."""
        return self.network if self.teacher is None else self.teacher

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return what the network answers.

        Args:
            inputs: Tensors by asset.

        Returns:
            By head.
        """
        return cast("dict[str, Any]", self.network(inputs))

    def losses(self, batch: Mapping[str, Any], step: int) -> dict[str, Tensor]:
        """Return the losses of a batch by head, and their weighted mean as ``loss``.

        Args:
            batch: As a loader gives it; with ``labelled`` and ``unlabelled`` where a teacher helps,
                and with what its loss counts where it is one of several of a step.
            step: How many steps came before.

        Returns:
            Scalars.
        """
        labelled = batch.get("labelled", batch)
        inputs = inputs_of(self.contract, labelled)
        first = self.heads[0].task
        if first in _OWN:
            generator = torch.Generator().manual_seed(torch.initial_seed() % 2**63)
            found = self._network_losses(inputs, generator)
        elif first is HeadTask.DETECTION:
            found = self._network_losses(inputs, boxes_of(labelled))
        else:
            found = self._head_losses(inputs, labelled, batch.get(SHARES))
        if self.teacher is not None and "unlabelled" in batch:
            found |= self._disagreement(batch["unlabelled"], found["loss"], step)
        return found

    def known(self, batch: Mapping[str, Any], device: torch.device) -> Tensor | None:
        """Return how many answers the loss of each head on a batch is the mean of.

        Args:
            batch: As a loader gives it.
            device: Where they are counted.

        Returns:
            ``(head,)``; None where the network has a loss of its own, by which batches count alike.
        """
        if self.heads[0].task in {*_OWN, HeadTask.DETECTION}:
            return None
        batch = batch.get("labelled", batch)
        pairs = zip(self.heads, self.recipe.heads, strict=True)
        return torch.stack([
            known_of(
                head, recipe, truth_of(head, batch).to(device, non_blocking=True),
                weights=self._weights_of(head, device),
            ).float()
            for head, recipe in pairs
        ])  # fmt: skip

    def training_step(self, batch: Mapping[str, Any], index: int) -> Tensor:
        """Return the loss of a batch.

        Args:
            batch: As a loader gives it.
            index: How many came before it.

        Returns:
            A scalar.
        """
        return self.losses(batch, index)["loss"]

    def on_train_batch_end(self, *_: object) -> None:
        """Let the teacher follow the network."""
        if self.teacher is None or self.recipe.semi is None:
            return
        keep = self.recipe.semi.decay
        with torch.no_grad():
            pairs = zip(self.teacher.parameters(), self.network.parameters(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - keep)
            buffers = zip(self.teacher.buffers(), self.network.buffers(), strict=True)
            for held, new in buffers:
                held.copy_(new)

    def on_validation_epoch_start(self) -> None:
        """Begin to measure anew."""
        pairs = zip(self.heads, self.recipe.heads, strict=True)
        made = {head.name: measure_of(head, recipe) for head, recipe in pairs}
        self.measures = {name: one for name, one in made.items() if one is not None}
        self.losses_seen = []

    def validation_step(self, batch: Mapping[str, Any], index: int) -> None:
        """Measure a batch.

        Args:
            batch: As a loader gives it; where it says so, only its first samples count.
            index: How many came before it.
        """
        inputs = inputs_of(self.contract, batch)
        samples = len(next(iter(inputs.values())))
        counted = int(batch.get(COUNTED, samples))
        if self.heads[0].task in _OWN:
            loss = float(self.losses(batch, index)["loss"])
            self.losses_seen.append((self.heads[0].name, loss, counted))
            return
        answers = self.answering(inputs)
        for head, recipe in zip(self.heads, self.recipe.heads, strict=True):
            if not counted:
                continue
            answer = answers[head.name][:counted]
            if head.task is HeadTask.DETECTION:
                self.measures[head.name].update(answer, boxes_of(batch)[:counted])
                continue
            truth = truth_of(head, batch)[:counted]
            loss = float(loss_of(head, recipe, answer.float(), truth))
            self.losses_seen.append((head.name, loss, int(known_of(head, recipe, truth))))
            self.measures[head.name].update(answer, truth)

    def measured_by(
        self, found: Sequence[tuple[dict[str, Measure], list[tuple[str, float, int]]]]
    ) -> None:
        """Take what several processes measured for what was measured.

        Args:
            found: ``measures`` and ``losses_seen`` of each.
        """
        (self.measures, losses), *others = found
        self.losses_seen = list(losses)
        for measures, further in others:
            self.losses_seen += further
            for name, measure in measures.items():
                self.measures[name].join(measure)

    def loss_seen(self) -> float | None:
        """Return the loss of the validation: the heads' means over all their answers, weighted.

        Returns:
            None where no answer was known.
        """
        total = weight = 0.0
        for head in self.heads:
            mine = [
                (loss, known) for name, loss, known in self.losses_seen
                if name == head.name and known  # of nothing a loss may be NaN, and 0 of it too
            ]  # fmt: skip
            if answers := sum(known for _, known in mine):
                total += head.weight * math.fsum(loss * known for loss, known in mine) / answers
                weight += head.weight
        return total / weight if weight else None

    def figures(self) -> dict[str, float]:
        """Return what the validation came to, by name.

        Returns:
            Names carry their head's where there are several heads.
        """
        found: dict[str, float] = {}
        for head in self.heads:
            if head.name in self.measures:
                prefix = f"{head.name}/" if len(self.heads) > 1 else ""
                measured = self.measures[head.name].compute()
                found |= {prefix + name: value for name, value in measured.items()}
        return found

    def configure_optimizers(self) -> Any:  # noqa: ANN401 — one of Lightning's many
        """Return the optimiser and its schedule, as Lightning wants them."""
        said = self.recipe.optimiser
        groups = self._groups()
        optimiser: torch.optim.Optimizer
        if said.name == "sgd":
            optimiser = torch.optim.SGD(groups, lr=said.lr, momentum=said.momentum)
        else:
            kind = torch.optim.AdamW if said.name == "adamw" else torch.optim.Adam
            optimiser = kind(groups, lr=said.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate(self.recipe, step, self.steps)
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Return the weights that may begin learnt."""
        named = self.network.named_parameters()
        return [weight for name, weight in named if "encoder" in name.split(".")]

    def rest_encoder(self) -> None:
        """Let what may begin learnt keep its means and deviations over batches as they came."""
        for name, module in self.network.named_modules():
            if name.rpartition(".")[2] == "encoder":
                module.eval()

    def _groups(self) -> list[dict[str, Any]]:
        said = self.recipe.optimiser
        learnt = {id(weight) for weight in self.encoder_parameters()}
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for weight in self.network.parameters():
            if weight.requires_grad:
                groups.setdefault((id(weight) in learnt, weight.ndim > 1), []).append(weight)
        return [
            {
                "params": weights,
                "lr": said.encoder_lr if of_encoder and said.encoder_lr is not None else said.lr,
                "weight_decay": said.weight_decay if decays else 0.0,
            }
            for (of_encoder, decays), weights in groups.items()
        ]

    def _weights_of(self, head: Head, device: torch.device) -> Tensor | None:
        weights = self.class_weights.get(head.name)
        return None if weights is None else weights.to(device)

    def _network_losses(self, inputs: dict[str, Tensor], further: object) -> dict[str, Tensor]:
        parts = cast("Any", self.network).losses(inputs, further)
        return {**parts, "loss": torch.stack(list(parts.values())).sum()}

    def _head_losses(
        self, inputs: dict[str, Tensor], batch: Mapping[str, Any], shares: Tensor | None
    ) -> dict[str, Tensor]:
        answers = self.network(inputs)
        found: dict[str, Tensor] = {}
        for head, recipe in zip(self.heads, self.recipe.heads, strict=True):
            answer = answers[head.name].float()
            found[head.name] = loss_of(
                head, recipe, answer, truth_of(head, batch),
                weights=self._weights_of(head, answer.device),
            )  # fmt: skip
        counts = [1.0] * len(self.heads) if shares is None else shares
        pairs = [
            (head.weight, found[head.name] * count)
            for head, count in zip(self.heads, counts, strict=True)
        ]
        return found | {"loss": weighted(pairs)}

    def _disagreement(
        self, batch: Mapping[str, Any], labelled: Tensor, step: int
    ) -> dict[str, Tensor]:
        """Return how far the network is from its teacher on samples whose labels nobody uses.

        References:
            Tarvainen & Valpola (2017), "Mean teachers are better role models", NeurIPS.
        """
        semi = self.recipe.semi
        if semi is None or self.teacher is None:
            return {}
        inputs = inputs_of(self.contract, batch)
        noisy = {
            name: value + semi.noise * torch.randn_like(value)
            if not name.endswith(("_valid", "_day"))
            else value
            for name, value in inputs.items()
        }
        with torch.no_grad():
            calm = self.teacher(inputs)
        said = self.network(noisy)
        parts = [
            (head.weight, functional.mse_loss(_sure(head, said), _sure(head, calm)))
            for head in self.heads
        ]
        apart = weighted(parts)
        risen = min(1.0, (step + 1) / max(1.0, semi.warmup * self.steps))
        return {"disagreement": apart, "loss": labelled + semi.weight * risen * apart}


def _sure(head: Head, answers: Mapping[str, Tensor]) -> Tensor:
    answer = answers[head.name].float()
    if head.task is HeadTask.MULTILABEL:
        return answer.sigmoid()
    return answer.softmax(1) if head.task in _CLASSED else answer


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate of a step as a share of the highest.

    Args:
        recipe: With its schedule.
        step: How many steps came before.
        steps: How many there are.

    Returns:
        In [0, 1].

    References:
        Loshchilov & Hutter (2017), "SGDR", ICLR, equation 5, without restarts.
        Smith & Topin (2019), "Super-convergence", SPIE 11006, for ``one-cycle``.
    """
    said = recipe.schedule
    rising = _RISING if said.name == "one-cycle" else said.warmup
    warm = round(rising * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    if said.name == "constant":
        return 1.0
    gone = min(1.0, (step - warm) / max(1, steps - warm))
    return said.floor + (1 - said.floor) * (1 + math.cos(math.pi * gone)) / 2
