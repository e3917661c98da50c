"""The division that a source brings lands in ``splits/official`` and follows the source."""

import pytest

from registry.curate.formats.contract import Plan
from registry.curate.ingest.planned import check_plan
from registry.errors import RegistryError


def official(version):
    rows = version.table("splits/official").to_pylist()
    return {row["sample"]: row["subset"] for row in rows}


@pytest.fixture
def divided(tmp_path, chip):
    for number, subset in enumerate(("train", "train", "val", "test")):
        for label in ("Forest", "Water"):
            path = tmp_path / "divided" / subset / label / f"{label}_{number}.tif"
            chip(path, number + 100 * (label == "Water"))
    return tmp_path / "divided"


def test_folders_called_train_val_and_test_are_the_official_split(registry, divided, bring):
    bring("divided")
    draft = registry.resolve("things@draft")
    assert draft.spec.classes == ("Forest", "Water")
    assert official(draft) == {
        f"{label}_{number}": subset
        for number, subset in enumerate(("train", "train", "validate", "test"))
        for label in ("Forest", "Water")
    }


def test_a_corrected_source_corrects_its_split(registry, divided, bring):
    bring("divided")
    (divided / "train/Forest/Forest_0.tif").rename(divided / "test/Forest/Forest_0.tif")
    (divided / "val/Water/Water_2.tif").unlink()
    result = bring("divided")
    assert result.removed == 1
    split = official(registry.resolve("things@draft"))
    assert (split["Forest_0"], len(split)) == ("test", 7)


def test_a_source_that_divides_no_longer_leaves_no_split_behind(registry, divided, bring):
    bring("divided")
    for path in sorted(divided.rglob("*.tif")):
        (divided / "train" / path.parent.name / path.name).parent.mkdir(exist_ok=True)
        path.rename(divided / "train" / path.parent.name / path.name)
    bring("divided")
    assert official(registry.resolve("things@draft")) == {}


def test_an_undivided_source_has_no_split(registry, forest, bring):
    bring("forest")
    assert "splits/official" not in registry.resolve("things@draft").tables()


@pytest.mark.parametrize(
    ("name", "samples"), [("official", ["a", "a"]), ("official", ["b"]), ("../up", ["a"])]
)
def test_a_plan_cannot_bring_a_split_that_no_table_could_hold(name, samples):
    import pyarrow as pa

    split = pa.table({"sample": samples, "subset": ["train"] * len(samples)})
    plan = Plan(
        task=None,
        classes=(),
        samples=pa.table({"id": ["a"]}),
        assets=pa.table({
            "sample": ["a"], "asset": ["image"], "kind": ["raster"], "file": ["a.tif"],
        }),
        splits={name: split},
    )  # fmt: skip
    with pytest.raises(RegistryError):
        check_plan(plan)
