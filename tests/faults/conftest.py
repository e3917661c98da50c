"""Datasets to break, small disks, and folders that may only be read."""

import ctypes
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from registry import lake
from registry.catalog import Registry
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.publishing import publish

CHIPS = 4
PR_CAPBSET_DROP, CAPABILITIES_V3 = 24, 0x20080522
OVERRIDING = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def in_a_child(work):
    """Run ``work`` in a child of its own, whose limits and rights go with it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 — its trace is what the failure is told by
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture(name="in_a_child")
def _in_a_child():
    return in_a_child


@pytest.fixture
def mounted():
    """Give a function that mounts something, if this user may; unmounted afterwards."""
    done = []

    def mount(*arguments, at):
        at.mkdir(exist_ok=True)
        result = subprocess.run(
            ["mount", *arguments, str(at)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            return False
        done.append(at)
        return True

    yield mount
    for at in dict.fromkeys(reversed(done)):
        subprocess.run(["umount", "--lazy", str(at)], check=True)


class Disk:
    """A small file system that grows, or a limit on the size of files where none may be mounted."""

    def __init__(self, mounted, folder):
        self.folder, self._mounted = folder, mounted
        folder.mkdir(exist_ok=True)
        self.is_mounted = mounted("-t", "tmpfs", "-o", "size=40m", "tmpfs", at=folder)

    def room(self, kilobytes):
        """Return a context in which there is so much room beside what is there."""
        return _Room(self, kilobytes * 1024)

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)


class _Room:
    def __init__(self, disk, size):
        self._disk, self._size = disk, size
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self):
        if self._disk.is_mounted:
            usage = shutil.disk_usage(self._disk.folder)
            self._disk.resize(usage.used + self._size)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._size // 4, self._before[1]))

    def __exit__(self, *_):
        if self._disk.is_mounted:
            self._disk.resize("40m")
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def disk(mounted, tmp_path):
    return Disk(mounted, tmp_path / "disk")


@pytest.fixture
def only_reading(mounted, tmp_path, monkeypatch):
    """Give a function that runs ``work(folder)`` where a folder may only be read.

    It is mounted so; without the right to mount, its modes say so to a user who has no more
    rights than they.
    """

    def run(home, work):
        view = tmp_path / "view"
        if mounted("--bind", str(home), at=view) and mounted("-o", "remount,bind,ro", at=view):
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
            work(view)
            return
        with tempfile.TemporaryDirectory() as elsewhere:
            copy = Path(elsewhere) / "lake"
            shutil.copytree(home, copy)
            _set_modes(copy, 0o555, 0o444)
            try:
                in_a_child(lambda: _with_no_more_rights(work, copy))
            finally:
                _set_modes(copy, 0o755, 0o644)

    return run


def _set_modes(home, folders, files):
    for above, _, names in os.walk(home, topdown=False):
        for name in names:
            (Path(above) / name).chmod(files)
        Path(above).chmod(folders)


def _with_no_more_rights(work, folder):
    """Give up root's right to write whatever the modes say, here and in what is started."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, held)
    for right in OVERRIDING:
        libc.prctl(PR_CAPBSET_DROP, right, 0, 0, 0)
        for place in range(3):
            held[place] &= ~(1 << right)
    libc.capset(header, held)
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    work(folder)


# ------------------------------------------------------------------------- datasets
def write_chip(path, number, *, side=64):
    """Write a GeoTIFF of noise, which nothing compresses."""
    chance = np.random.default_rng(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    place = from_origin(5e5 + number * 5_000, 5e6, 10, 10)
    profile = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint16"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=place) as raster:
        raster.write(chance.integers(0, 65_535, (3, side, side), "uint16"))


def bring(registry, source, into="fields"):
    said = SourceOptions.of(time="2020", licence="MIT", provider="ESA", task="classification")
    return ingest(registry, source, into=into, options=said, workers=1)


@pytest.fixture(name="bring")
def _bring(monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return bring


@pytest.fixture
def chips(tmp_path):
    """A folder of four chips of 24 KiB in two classes."""
    for number in range(CHIPS):
        write_chip(tmp_path / "chips" / "ab"[number % 2] / f"c{number}.tif", number)
    return tmp_path / "chips"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A lake with one dataset of one version, never written to."""
    home = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "anna")
        patch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
        for number in range(CHIPS):
            write_chip(home / "chips" / "ab"[number % 2] / f"c{number}.tif", number)
        registry = Registry(lake=lake.init(str(home / "lake")))
        bring(registry, home / "chips")
        publish(registry, "fields", message="first")
    return home / "lake"


@pytest.fixture
def registry(prepared, tmp_path, monkeypatch):
    """A lake of the test's own with one dataset of one version."""
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    shutil.copytree(prepared, tmp_path / "lake")
    return Registry(lake=lake.connect(str(tmp_path / "lake")))
