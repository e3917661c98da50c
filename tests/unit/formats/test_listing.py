import io
import tarfile
import zipfile

import pytest

from registry.curate.formats.listing import open_listing
from registry.errors import InvalidInputError, NotFoundError, RejectedError

FILES = {"a/1.txt": b"one", "b/2.bin": b"\0" * 5000, "c.json": b"{}"}


@pytest.fixture(params=["folder", "zip", "stored zip", "tar"])
def source(request, tmp_path):
    """The same files as a folder, a zip or a tar."""
    if request.param == "folder":
        for name, data in FILES.items():
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name).write_bytes(data)
        return tmp_path / "set"
    if "zip" in request.param:
        method = zipfile.ZIP_STORED if "stored" in request.param else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(tmp_path / "set.zip", "w", method) as archive:
            archive.mkdir("a")
            for name, data in FILES.items():
                archive.writestr(name, data)
        return tmp_path / "set.zip"
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in FILES.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return tmp_path / "set.tar"


def test_folders_zips_and_tars_list_the_same_files(source):
    listing = open_listing(source)
    assert listing.name == "set"
    assert {path: file.size for path, file in listing.files.items()} == {
        path: len(data) for path, data in FILES.items()
    }


def test_files_are_read_whole_from_any_source(source):
    listing = open_listing(source)
    assert {path: listing.read(path) for path in listing.files} == FILES
    for path, data in FILES.items():
        with listing.open(path) as file:
            assert file.read() == data


def test_a_file_larger_than_the_limit_is_not_read(source):
    with pytest.raises(RejectedError, match="more than the 4,999 allowed"):
        open_listing(source).read("b/2.bin", limit=4999)


def test_files_of_a_folder_have_a_path_on_disk_and_those_of_archives_none(source):
    local = open_listing(source).local_path("c.json")
    assert (local is None) == source.is_file()
    assert local is None or local.read_bytes() == b"{}"


def test_globs_cross_folders(source):
    assert [file.path for file in open_listing(source).glob("*.txt")] == ["a/1.txt"]


def test_a_file_that_is_not_there_is_not_found(source):
    with pytest.raises(NotFoundError, match=r"no file 'd\.txt'"):
        open_listing(source).read("d.txt")


def test_a_single_file_is_a_listing_of_one(tmp_path):
    (tmp_path / "items.ndjson").write_text("{}\n")
    assert list(open_listing(tmp_path / "items.ndjson").files) == ["items.ndjson"]


def test_what_desktops_leave_behind_is_not_listed(tmp_path):
    for name in (".DS_Store", "__MACOSX/x", "Thumbs.db", ".git/config", "kept.tif"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    assert list(open_listing(tmp_path / "set").files) == ["kept.tif"]


def test_a_stamp_changes_when_the_file_does(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"one")
    before = open_listing(tmp_path / "set").files["a"].stamp
    assert open_listing(tmp_path / "set").files["a"].stamp == before
    (tmp_path / "set" / "a").write_bytes(b"other")
    assert open_listing(tmp_path / "set").files["a"].stamp != before


def test_a_link_inside_the_folder_is_followed(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"one")
    (tmp_path / "set" / "b").symlink_to("a")
    assert open_listing(tmp_path / "set").read("b") == b"one"


def test_nothing_at_a_path_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="there is nothing at"):
        open_listing(tmp_path / "absent")


def test_a_device_is_no_source():
    with pytest.raises(InvalidInputError, match="neither a folder nor a file"):
        open_listing("/dev/null")


def test_a_zip_without_a_suffix_that_lies_alone_is_the_source(tmp_path):
    (tmp_path / "cz").mkdir()
    with zipfile.ZipFile(tmp_path / "cz" / "bd51ec4dea", "w") as archive:
        archive.writestr("a.tif", b"x")
    assert list(open_listing(tmp_path / "cz").files) == ["a.tif"]


def test_a_file_without_a_suffix_that_is_no_archive_is_a_file(tmp_path):
    (tmp_path / "cz").mkdir()
    (tmp_path / "cz" / "LICENCE").write_text("MIT")
    assert list(open_listing(tmp_path / "cz").files) == ["LICENCE"]
