import zipfile

import pytest

from registry.curate.formats import FORMATS, SourceOptions, detect, open_listing
from registry.errors import InvalidInputError


def test_a_format_that_the_user_names_is_not_questioned(listed):
    source = listed({"a.tif": b""})
    assert detect(source, SourceOptions(format="coco")).format is FORMATS["coco"]


def test_an_unknown_name_lists_the_known_ones(listed):
    with pytest.raises(InvalidInputError, match="no format 'voc'") as caught:
        detect(listed({"a.tif": b""}), SourceOptions(format="voc"))
    for name in FORMATS:
        assert name in caught.value.hint


def test_a_source_of_no_known_format_says_what_was_seen(listed):
    source = listed({"a.shp": b"", "a.dbf": b"", "b.shp": b""})
    with pytest.raises(InvalidInputError, match=r"3 files \(2 \.shp, 1 \.dbf\), such as 'a\.dbf'"):
        detect(source, SourceOptions())


def test_a_source_that_may_be_two_formats_asks_which(listed, monkeypatch):
    monkeypatch.setattr(type(FORMATS["coco"]), "recognises", lambda *_: 0.9)
    monkeypatch.setattr(type(FORMATS["stac-items"]), "recognises", lambda *_: 0.9)
    with pytest.raises(InvalidInputError, match="may be coco or stac-items") as caught:
        detect(listed({"a.json": "{}"}), SourceOptions())
    assert "--format" in caught.value.hint


def test_the_more_specific_format_wins(listed):
    pairs = {f"images/{n}.tif": b"" for n in range(3)} | {f"masks/{n}.tif": b"" for n in range(3)}
    assert detect(listed(pairs), SourceOptions()).format.name == "image-mask"


def test_a_detection_says_why(listed):
    found = detect(listed({"a.tif": b"", "a.json": "{}"}), SourceOptions())
    assert "1 .json, 1 .tif" in found.reason
    assert "geotiff-sidecar fits best" in found.reason


def test_a_folder_with_an_archive_and_its_readme_is_the_archive(tmp_path):
    (tmp_path / "SOURCE.md").write_text("where it is from")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"):
            archive.writestr(name, b"x")
    listing = open_listing(tmp_path)
    assert list(listing.files) == ["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"]
    assert detect(listing, SourceOptions()).format.name == "image-folder"
