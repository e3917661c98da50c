"""Where a stream stands, as JSON, and whether another one may go on from there."""

from collections.abc import Mapping
from typing import Any, Final

from registry.errors import InvalidInputError
from registry.learn.loading.plan import Plan

__all__ = ["resumed", "state_of"]

# Not the rank: all stand at the same step, and one of them writes the checkpoint of all.
_ABOUT: Final = ("seed", "batch_size", "world", "shuffle", "window", "drop_last")


def state_of(plan: Plan, *, epoch: int, step: int) -> dict[str, Any]:
    """Return the state of a stream, as JSON's own types.

    Args:
        plan: Its order.
        epoch: Which pass it is in.
        step: How many batches of that pass it gave.
    """
    about = {name: getattr(plan, name) for name in _ABOUT}
    return {"samples": plan.key, **about, "epoch": epoch, "step": step}


def resumed(plan: Plan, state: Mapping[str, Any]) -> tuple[int, int]:
    """Return the epoch and step that a stream goes on from; after the last batch the next epoch.

    Args:
        plan: The order of the stream that goes on.
        state: What :func:`state_of` said of another one.

    Raises:
        InvalidInputError: That one had other samples, or gave them in another order.
    """
    own = state_of(plan, epoch=0, step=0)
    for name in ("samples", *_ABOUT):
        if state.get(name) != own[name]:
            raise InvalidInputError(
                f"the state is of a stream with {name}={state.get(name)!r}; this one has "
                f"{own[name]!r}",
                hint="make the stream with the same ref, subset and arguments",
            )
    epoch, step = state.get("epoch"), state.get("step")
    if not (isinstance(epoch, int) and isinstance(step, int)) or not 0 <= step <= len(plan):
        raise InvalidInputError(
            f"the state stands at batch {step!r} of epoch {epoch!r}",
            hint=f"an epoch has {len(plan)} batches",
        )
    if epoch < 0:
        raise InvalidInputError(f"the state stands in epoch {epoch}", hint="it begins with 0")
    return (epoch, step) if step < len(plan) else (epoch + 1, 0)
