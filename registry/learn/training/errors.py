"""What can end a training run before its time."""

from registry.errors import RejectedError, UnavailableError

__all__ = ["DeviceLostError", "DivergedError", "InterruptedTrainingError", "NoCheckpointError"]


class DivergedError(RejectedError):
    """The loss is no number any more."""

    code = "loss-is-no-number"


class DeviceLostError(UnavailableError):
    """The accelerator does not answer, or its memory does not hold a batch."""

    code = "device-lost"


class InterruptedTrainingError(UnavailableError):
    """The system asked the run to end; a checkpoint holds what it learnt."""

    code = "training-interrupted"


class NoCheckpointError(UnavailableError):
    """A checkpoint cannot be written; the one before it is kept."""

    code = "no-checkpoint"
