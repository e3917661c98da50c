"""A Slurm of the test's own: two nodes on this machine, on free ports, in private folders.

Nothing of it lies outside its folder, and every process is ended by its id.
"""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cluster", "is_installed", "running_slurm"]

_PATIENCE = 90.0
_NODES = ("one", "two")
_IDLE = ["idle", "idle"]
_SBIN = "/usr/sbin:/usr/local/sbin"
_CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
MinJobAge=300
BatchStartTimeout=90
MessageTimeout=60
KillWait=2
OverTimeLimit=0
DefMemPerCPU=500
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=4 RealMemory=4000 State=UNKNOWN
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=cpu Nodes=one,two Default=YES MaxTime=01:00:00 State=UP
"""


@dataclass(frozen=True)
class Cluster:
    folder: Path
    environment: dict[str, str]

    def ask(self, *words: str) -> str:
        ran = subprocess.run(
            words, env=os.environ | self.environment, capture_output=True, text=True, check=True
        )
        return ran.stdout


def is_installed() -> bool:
    path = f"{os.environ['PATH']}:{_SBIN}"
    needed = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
    return all(shutil.which(name, path=path) for name in needed)


@contextmanager
def running_slurm(folder: Path) -> Iterator[Cluster]:
    """Yield a Slurm that is idle; its folder has to be short, as sockets have short names."""
    for part in ("state", *(f"spool-{node}" for node in _NODES)):
        (folder / part).mkdir(parents=True)
    folder.chmod(0o755)
    config = folder / "slurm.conf"
    user = pwd.getpwuid(os.getuid()).pw_name  # whatever the environment calls whoever runs this
    controller, one, two = _free_ports(3)
    config.write_text(
        _CONFIG.format(
            host=socket.gethostname().partition(".")[0], user=user, folder=folder,
            controller=controller, one=one, two=two,
        ),
        "utf-8",
    )  # fmt: skip
    cluster = Cluster(folder=folder, environment={"SLURM_CONF": str(config)})
    with ExitStack() as stack:
        stack.enter_context(_munge(folder))
        for words in (["slurmctld", "-D"], *(["slurmd", "-D", "-N", node] for node in _NODES)):
            stack.enter_context(_process(words, folder, cluster.environment))
        _wait(lambda: _answer(cluster, "sinfo", "-h", "-N", "-o", "%T").split() == _IDLE, folder)
        yield cluster
        _answer(cluster, "scancel", "--user", user)
        _wait(lambda: not _answer(cluster, "squeue", "-h").strip(), folder)


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    words = [
        "munged", "--foreground", "--force", f"--socket={folder}/munge.socket",
        f"--key-file={key}", f"--log-file={folder}/munged.log", f"--pid-file={folder}/munged.pid",
        f"--seed-file={folder}/munged.seed",
    ]  # fmt: skip
    with _process(words, folder, {}):
        _wait((folder / "munge.socket").exists, folder)
        yield


@contextmanager
def _process(words: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    path = {"PATH": f"{os.environ['PATH']}:{_SBIN}"}
    program = shutil.which(words[0], path=path["PATH"])
    with (folder / f"{words[0]}-{Path(words[-1]).name}.out").open("wb") as out:
        process = subprocess.Popen(
            [program, *words[1:]], env=os.environ | path | environment, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answer(cluster: Cluster, *words: str) -> str:
    try:
        return cluster.ask(*words)
    except subprocess.CalledProcessError:
        return ""


def _wait(is_there, folder: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not is_there():
        if time.monotonic() > until:
            logs = "\n".join(p.read_text("utf-8", "replace")[-2000:] for p in folder.glob("*.log"))
            raise AssertionError(f"Slurm does not come up\n{logs}")
        time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:  # all at once, so that they differ
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
