"""The script that Slurm is given: the lab's own command, what it needs, and how it goes on."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from registry.errors import InvalidInputError
from registry.learn.compute.contract import Command
from registry.learn.compute.launching import environment_of, rendezvous, single, torchrun
from registry.learn.compute.scripts import Raw, exported, line
from registry.learn.compute.targets import Target

__all__ = ["CANCELLED", "EXIT", "rendered"]

EXIT: Final = "exit"
"""The file in a job's folder that says with which status its command ended."""

CANCELLED: Final = "cancelled"
"""The file in a job's folder that says that it must not begin again."""

_MEBIBYTE: Final = 1 << 20
_GIGABYTE: Final = 10**9

# From the first line on, because Slurm may warn before the command has begun.
_LISTEN: Final = """\
child= interrupted= stopped=
trap 'interrupted=1; [ -z "$child" ] || {stop}' USR1
trap 'stopped=1; [ -z "$child" ] || {stop}' TERM
"""

# Runs the command beside this shell, so that a signal is heard while it runs.
_WATCH: Final = """\
child=$!
[ -z "$interrupted$stopped" ] || {stop}
wait "$child" 2>/dev/null
status=$?
while kill -0 "$child" 2>/dev/null; do
    wait "$child" 2>/dev/null
    status=$?
done
if [ -n "$interrupted$stopped" ]; then
    wait "$child" 2>/dev/null
    status=$?
fi

# Asks Slurm for another start, unless somebody has cancelled the job.
again() {
    [ -z "$stopped" ] && [ ! -e {cancelled} ] || return
    [ "${SLURM_RESTART_COUNT:-0}" -lt {restarts} ] || return
    [ "$(squeue --noheader --jobs "$SLURM_JOB_ID" --format %T)" = RUNNING ] || return
    echo "eolab: $1; queued again"
    trap - TERM
    scontrol requeue "$SLURM_JOB_ID" && sleep 600 && exit 1
}
if [ -n "$interrupted" ] && [ "$status" -ne 0 ]; then
    again 'its time is nearly over'
elif [ "$status" -eq 137 ]; then
    again 'it was ended by SIGKILL'
fi
"""

# Under the address by which Slurm's own nodes reach this one; a host's name need not lead to it.
_MEET: Final = """\
meet=$(scontrol show node "$SLURMD_NODENAME" 2>/dev/null |
    sed -n 's/.*NodeAddr=\\([^ ]*\\).*/\\1/p')
meet="${meet:-$(hostname)}:$((20000 + SLURM_JOB_ID % 20000))\""""


def rendered(command: Command, target: Target, *, job_id: str, folder: Path | None) -> str:
    """Return the script of a job.

    Args:
        command: What runs.
        target: Where, and with which options.
        job_id: The job's name.
        folder: Its record's, as the nodes see it too; None: for somebody who runs ``sbatch``
            by hand, with the log beside the command.

    Returns:
        A bash script with its options in its head. Of what the user gave, only the ``setup`` lines
        of ``compute.yaml`` are read by a shell.

    Raises:
        InvalidInputError: A path cannot be written into such a script.
    """
    log = str(folder / "log") if folder else str(command.workdir / f"{job_id}-%j.log")
    head = [f"#SBATCH {one}" for one in _options(command, target, job_id, log, folder is not None)]
    environment = environment_of(command, job_id, target.environment)
    return "\n".join([
        "#!/bin/bash",
        *head,
        "",
        _LISTEN.replace("{stop}", _stop(command)),
        *exported(environment),
        "cd -- " + shlex.quote(str(command.workdir)) + " || exit 1",
        *([f"rm -f -- {_quoted(folder / EXIT)}"] if folder else []),
        *target.setup,
        "",
        *_body(command, target, folder),
        "",
    ])


def _options(
    command: Command,
    target: Target,
    job_id: str,
    log: str,
    is_escaped: bool,  # noqa: FBT001 — private
) -> Iterator[str]:
    needs = command.resources
    yield f"--job-name={job_id}"
    yield f"--output={_in_head(log.replace('%', '%%') if is_escaped else log)}"
    yield "--open-mode=append"
    yield "--requeue"
    yield f"--nodes={needs.nodes}"
    yield "--ntasks-per-node=1"
    yield f"--cpus-per-task={_cpus(command, target)}"
    if memory := needs.memory_gb or target.memory_gb:
        yield f"--mem={memory * _GIGABYTE // _MEBIBYTE}M"
    if needs.gpus:
        yield f"--gres={target.gres or 'gpu'}:{needs.gpus}"
    if needs.minutes:
        yield f"--time={needs.minutes}"
    # Before the limit, to this shell alone: what runs is then asked to keep what it has.
    yield f"--signal=B:USR1@{target.warn_seconds}"
    for name, value in target.options.items():
        if name != "time" or not needs.minutes:
            yield f"--{name}={value}" if value else f"--{name}"


def _cpus(command: Command, target: Target) -> int:
    return command.resources.cpus or target.cpus or command.resources.processes_per_node


def _body(command: Command, target: Target, folder: Path | None) -> Iterator[str]:
    python = target.python or ("python" if target.container else sys.executable)
    needs = command.resources
    if needs.nodes > 1:
        yield _MEET
        meeting = rendezvous(
            command, endpoint=Raw('"$meet"'), key=Raw('"$SLURM_JOB_ID"')
        )  # fmt: skip
        srun = (
            "srun", f"--nodes={needs.nodes}", f"--ntasks={needs.nodes}", "--ntasks-per-node=1",
            f"--cpus-per-task={_cpus(command, target)}", "--kill-on-bad-exit=1",
        )  # fmt: skip
        words = (*srun, *target.container, *torchrun(command, meeting, python=python))
    else:
        words = (*target.container, *single(command, python=python))
    yield line(*words) + " &"
    marker = _quoted(folder / CANCELLED) if folder else "''"
    yield (
        _WATCH
        .replace("{stop}", _stop(command))
        .replace("{restarts}", str(needs.restarts))
        .replace("{cancelled}", marker)
        .rstrip()
    )  # fmt: skip
    if folder:
        fresh = _quoted(folder / f".{EXIT}")
        yield f'echo "$status" > {fresh} && mv -- {fresh} {_quoted(folder / EXIT)}'
    yield 'exit "$status"'


def _stop(command: Command) -> str:
    """Return what asks the command to end."""
    if command.resources.nodes > 1:
        return 'scancel --signal=TERM "$SLURM_JOB_ID"'  # every step; not this shell
    return 'kill -TERM "$child"'


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _in_head(path: str) -> str:
    """Return a path as Slurm reads it in the head of a script, where it knows quotes too.

    Raises:
        InvalidInputError: It cannot be written there.
    """
    if "\\" in path or any(ord(letter) < ord(" ") for letter in path):
        raise InvalidInputError(
            f"Slurm cannot write a log at {path!r}",
            hint="name a folder without backslashes and line breaks in EOLAB_JOBS",
        )
    return shlex.quote(path)
