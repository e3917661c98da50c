"""What Spark computes of a published version, started and seen in Dagster."""

import pytest

pytestmark = pytest.mark.spark


@pytest.fixture
def derived(materialise):
    assert materialise("parcels").success
    return materialise(
        "parcels",
        selection=["features", "bias_report"],
        features={"sets": ["bands", "context"]},
        bias_report={"against": "land"},
    )


def materialisation(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return event


def test_features_and_the_passport_are_kept_beside_the_version_and_shown(derived, lake):
    assert derived.success
    version = lake.open().resolve("parcels@v1")
    assert {"features/bands", "features/context", "reports/bias"} <= set(version.tables())
    assert version.count("features/bands") == 6

    shown = materialisation(derived, "features").metadata
    assert "| bands | computed | 6 |" in shown["sets"].value
    assert shown["features/bands"].value.startswith("![features/bands](data:image/png;base64,")

    shown = materialisation(derived, "bias_report").metadata
    assert shown["samples"].value == 6
    assert shown["against"].value.startswith("land")
    page = lake.folder("pages") / "parcels@v1-bias.html"
    assert shown["passport"].value == page.as_uri()
    assert "bias passport" in page.read_text(encoding="utf-8")


def test_an_unknown_set_is_named_in_the_run(materialise, capfd):
    materialise("parcels")

    failed = materialise("parcels", selection=["features"], features={"sets": ["nonsense"]})

    assert not failed.success
    assert "nonsense" in "".join(capfd.readouterr())
