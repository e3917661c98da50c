"""What PASTIS has no place for is said, whatever it is."""

import numpy as np

from registry.curate.checkout import checkout
from tests.unit.checkout.test_writing import asset


def series(sample, name, shape=(2, 3, 4, 4)):
    return asset(sample, name, np.ones(shape, np.uint8), crs=None, transform=None, nodata=None)


def test_a_target_of_nothing_and_planes_without_a_first_one_are_said(version_of, tmp_path):
    rows = [series("a", "s2"), series("a", "semantic-further", (2, 4, 4))]
    version = version_of(
        samples=[{"id": "a", "target": 0.0}],
        assets=[row for row, _ in rows], pixels=[packed for _, packed in rows],
    )  # fmt: skip
    version.count = lambda name: version.table(name).num_rows
    told = checkout(version, tmp_path / "out", "pastis").lost_tags
    assert told == (
        "a: semantic-further: no place without 'semantic'", "a: target: no place for it",
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out/a").iterdir()) == ["s2.h5"]
