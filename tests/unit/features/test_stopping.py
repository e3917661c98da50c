"""Ctrl-C ends work on threads at the samples that they are at, not at the end of their batches."""

import signal
import subprocess
import sys
import time

import pytest

SLOW = """
import sys, time
from registry import connect
from registry.curate.features import catalogue
from registry.curate.features.computing import compute
from registry.curate.features.definition import Feature, FeatureSet, Needs

def seen(scene):
    print(scene.sample, flush=True)
    time.sleep(1)
    return {"one": 1.0}

known = catalogue._load
made = FeatureSet(
    name="slow", version=1, title="slow", needs=Needs(arrays=True),
    features=(Feature(name="one", meaning="m", formula="1", source="test"),), WAY
)
catalogue._load = lambda name: made if name == "slow" else known(name)
compute(connect(sys.argv[1]), "toy@v1", ["slow"])
"""

BY_SCENE = "by_scene=seen"
GATHERING = 'by_scene=seen, gathering=known("statistics").gathering'


@pytest.mark.parametrize("way", [BY_SCENE, GATHERING])
def test_ctrl_c_ends_it_within_a_batch(lake, publish, way):
    version = publish(lake)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW.replace("WAY", way), lake.lake.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        first = process.stdout.readline()
        time.sleep(0.1)  # into the sample's work
        process.send_signal(signal.SIGINT)
        others, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in said
    assert first
    assert len(others.splitlines()) < version.count("samples") - 1
    assert "features/slow" not in lake.resolve("toy@v1").tables()
