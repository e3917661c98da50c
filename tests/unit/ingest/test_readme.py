"""What the README at the top of a source says is taken; the user and the files know better."""

import shutil
import zipfile

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from registry.catalog import Provider
from registry.curate.checkout import checkout
from registry.curate.publishing import publish

EOTDL = """---
name: Burnt Places
authors:
- Ada Lovelace
license: CC-BY-4.0
source: https://example.org/burnt
thumbnail: https://example.org/burnt.png
---
# Burnt places

Where it burnt.
"""
OURS = """---
name: anything
pretty_name: Burnt places
task: segmentation
authors: [Ada Lovelace]
license: CC-BY-4.0
providers:
- name: ESA
  roles: [producer]
classes: [unburnt, burnt]
assets:
  s2:
    title: Sentinel-2
    bands: [B2, B3]
    gsd: 10
  mask:
    role: labels
    values: {0: unburnt, 1: burnt}
season: autumn
---
Where it burnt.
"""


@pytest.fixture
def burnt(tmp_path):
    """Write four pairs of an image and its mask, in equal folders."""
    folder = tmp_path / "burnt"
    for number in range(4):
        place = from_origin(5e5 + number * 1_000, 5e6, 10, 10)
        for kind, bands in (("images", 2), ("masks", 1)):
            path = folder / kind / f"place_{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            y, x = np.mgrid[0:8, 0:8]
            plane = (x + y + number) % 2 if kind == "masks" else x * 9 + y + number
            with rasterio.open(
                path, "w", driver="GTiff", count=bands, height=8, width=8, dtype="uint8",
                crs="EPSG:32633", transform=place,
            ) as raster:  # fmt: skip
                raster.write(np.stack([plane] * bands).astype("uint8"))
    return folder


def card_of(registry):
    return registry.resolve("things@draft").spec


def test_eotdl_s_keys_are_taken(registry, burnt, bring):
    (burnt / "README.md").write_text(EOTDL)
    assert not len(bring("burnt").skipped)
    card = card_of(registry)
    assert (card.name, card.title, card.licence) == ("things", "Burnt Places", "CC-BY-4.0")
    assert card.authors == ("Ada Lovelace",)
    assert card.source == "https://example.org/burnt"
    assert card.thumbnail == "https://example.org/burnt.png"
    assert card.description == "Where it burnt."
    assert str(card.task) == "segmentation"  # as the folders show
    samples = registry.resolve("things@draft").table("samples").to_pylist()
    assert {sample["source"]["licence"] for sample in samples} == {"CC-BY-4.0"}


def test_the_lab_s_own_keys_name_assets_bands_and_values(registry, burnt, bring):
    (burnt / "README.md").write_text(OURS)
    bring("burnt")
    card = card_of(registry)
    assert card.classes == ("unburnt", "burnt")
    assert card.providers == (Provider(name="ESA", roles=("producer",)),)
    assert set(card.assets) == {"s2", "mask"}  # the nameless images are the card's s2
    assert card.assets["s2"].bands == ("B2", "B3")
    assert dict(card.assets["mask"].values) == {0: "unburnt", 1: "burnt"}
    assert card.extra == {"season": "autumn"}
    assets = registry.resolve("things@draft").table("assets")
    assert set(assets["asset"].to_pylist()) == {"s2", "mask"}
    assert card.declared == {}
    assert not any(registry.resolve("things@draft").table("samples")["declared"].to_pylist())


def test_the_user_s_word_wins(registry, burnt, bring):
    (burnt / "README.md").write_text(OURS)
    bring("burnt", licence="MIT", provider="DFKI", bands="red,nir", task="change",
          classes=("no", "yes"))  # fmt: skip
    card = card_of(registry)
    assert (card.licence, str(card.task), card.classes) == ("MIT", "change", ("no", "yes"))
    assert card.providers == (Provider(name="DFKI"),)
    assert card.assets["s2"].bands == ("red", "nir")
    assert card.authors == ("Ada Lovelace",)
    assert card.declared["licence"] == "MIT"


def test_prose_alone_says_nothing(registry, burnt, bring):
    (burnt / "README.md").write_text("# Burnt places\n\nlicense: MIT\n")
    bring("burnt")
    assert card_of(registry).licence is None
    assert card_of(registry).body == ""


@pytest.mark.parametrize(
    "text",
    [
        b"---\nname: [\n---\n",
        b"---\na: &a [x]\nb: [*a, *a]\n---\n",
        b"---\nlicense: MIT\nassets: 7\n---\n",
        b"---\nname: !!python/object/apply:os.system [true]\n---\n",
        b"---\ntitle: \xff\n---\n",
        b"---\nclasses: [a, a]\n---\n",
        b"---\n" + b"x: 1\n" * 1_000_000 + b"---\n",
    ],
    ids=["no-yaml", "alias", "no-mapping", "object", "no-utf-8", "twice", "large"],
)
def test_of_a_readme_that_cannot_be_read_nothing_is_taken(registry, burnt, bring, text):
    (burnt / "README.md").write_bytes(text)
    (warning,) = bring("burnt").warnings.to_pylist()
    assert warning["check"] == "bad-card"
    assert "README.md" in warning["message"]
    assert card_of(registry).licence is None


def test_a_readme_in_or_beside_an_archive_is_read(registry, burnt, bring, tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "README.md").write_text(EOTDL)
    for name, card in (("beside/x.zip", None), ("inside.zip", EOTDL.replace("CC-BY-4.0", "MIT"))):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in sorted(burnt.rglob("*.tif")):
                archive.write(path, f"burnt/{path.relative_to(burnt)}")
            if card:
                archive.writestr("burnt/README.md", card)
    bring("beside", into="beside")
    bring("inside.zip", into="inside")
    assert registry.resolve("beside@draft").spec.licence == "CC-BY-4.0"
    assert registry.resolve("inside@draft").spec.licence == "MIT"


def test_a_readme_deeper_down_speaks_for_a_part_only(registry, burnt, bring):
    (burnt / "masks" / "README.md").write_text(EOTDL)
    bring("burnt")
    assert card_of(registry).licence is None


def test_a_version_checked_out_and_ingested_again_keeps_its_card(registry, burnt, bring, tmp_path):
    (burnt / "README.md").write_text(OURS)
    bring("burnt", time="2020/2021")
    version = publish(registry, "things", message="first")
    checkout(version, tmp_path / "out")
    shutil.rmtree(burnt)
    bring("out", into="again")
    again = registry.resolve("again@draft").spec
    for what in ("title", "task", "authors", "licence", "providers", "classes", "assets",
                 "properties", "declared", "extra", "body"):  # fmt: skip
        assert getattr(again, what) == getattr(version.spec, what), what
    assert bring("out", into="again").added == 0


def test_classes_of_folders_come_back_with_their_card(registry, forest, bring, tmp_path):
    bring("forest", licence="MIT", provider="DFKI", time="2015/2017", bands="B2,B3,B4")
    version = publish(registry, "things", message="first")
    checkout(version, tmp_path / "out")
    bring("out", into="again")
    again = registry.resolve("again@draft")
    assert again.spec.declared == version.spec.declared
    assert again.spec.assets == version.spec.assets
    assert len(again.table("samples")) == len(forest)
    assert again.spec.classes == ("Forest", "Water")
