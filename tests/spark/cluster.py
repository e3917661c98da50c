"""A standalone cluster of PySpark's own wheel: a master and two workers of one core each."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

PATIENCE = 400


@dataclass
class Cluster:
    """What the tests know of it."""

    master: str
    ui: int
    folder: Path
    processes: list = field(default_factory=list)

    def executors(self):
        """Return the ids of the processes in which the workers compute."""
        ours = {pid for process in self.processes for pid in of_session(process.pid)}
        return [
            pid
            for pid, words in commands()
            if pid in ours and "CoarseGrainedExecutorBackend" in words
        ]


def end_with_parent():
    """Have the process that is to be started die with this one, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def commands():
    """Yield each process with its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield (
                    int(entry.name),
                    (entry / "cmdline")
                    .read_bytes()
                    .replace(b"\0", b" ")
                    .decode("utf-8", "replace"),
                )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(folder, *, workers=2, memory="1g"):
    """Yield a cluster; all its processes end with it."""
    import pyspark

    home = Path(pyspark.__file__).parent
    port, ui = free_port(), free_port()
    cluster = Cluster(master=f"spark://127.0.0.1:{port}", ui=ui, folder=Path(folder))
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(Path(folder) / "local"),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_DAEMON_MEMORY": "256m",
    }
    environment.pop("SPARK_MASTER", None)

    def start(what, *words):
        with (Path(folder) / f"{what}-{len(cluster.processes)}.log").open("wb") as log:
            started = subprocess.Popen(
                [home / "bin" / "spark-class", f"org.apache.spark.deploy.{what}", *words],
                env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 — it only asks the kernel
            )  # fmt: skip
        cluster.processes.append(started)

    try:
        start("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(ui))
        for number in range(workers):
            start(
                "worker.Worker", "--host", "127.0.0.1", "-c", "1", "-m", memory,
                "--webui-port", "0", "-d", str(Path(folder) / f"worker-{number}"), cluster.master,
            )  # fmt: skip
        wait_for(lambda: alive(ui) == workers)
        yield cluster
    finally:
        for process in cluster.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def alive(ui):
    """Return how many workers the master knows."""
    try:
        with urlopen(f"http://127.0.0.1:{ui}/json/", timeout=5) as answer:
            said = json.load(answer)
    except (OSError, ValueError):  # not there yet, or not all of it
        return 0
    return sum(worker["state"] == "ALIVE" for worker in said["workers"])


def wait_for(what, *, seconds=PATIENCE):
    """Return what a call gives as soon as it gives something."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return found


def of_session(leader):
    """Return the ids of the processes that belong to a process and all that it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                after = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(after[3]) == leader and after[0] != "Z":
                    found.append(int(entry.name))
    return found
