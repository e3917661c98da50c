"""Folders and archives made to harm their reader: each is refused, with its own words."""

import io
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from registry.curate.formats.listing import open_listing
from registry.curate.formats.spans import UnsafeSourceError, check_name
from registry.errors import RejectedError

NAMES = {
    "../outside": "climbs out",
    "a/../../outside": "climbs out",
    "..": "climbs out",
    "/etc/passwd": "is absolute",
    "//server/share": "is absolute",
    "C:/windows": "is absolute",
    "c:evil": "is absolute",
    "a\\..\\b": "backslash",
    "\\\\server\\share": "backslash",
    "a\nb": "control character",
    "a\rb": "control character",
    "a\tb": "control character",
    "a\x00b": "control character",
    "a\x1b[31mb": "control character",
    "a\x7fb": "control character",
    "a\x85b": "control character",
    "a\u2028b": "control character",
    "": "is empty",
    "a//b": "empty or dotted part",
    "./a": "empty or dotted part",
    "a/.": "empty or dotted part",
    "a/": "empty or dotted part",
    "\udcff.tif": "not UTF-8",
    "a" * 1025: "longer than",
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_are_refused_with_the_reason(name):
    with pytest.raises(UnsafeSourceError, match=NAMES[name]):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["a.tif", "2750/Forest/Forest_1.jpg", "ünïcode/日本.tif", "a b..c"]
)
def test_ordinary_names_pass(name):
    assert check_name(name) == name


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "source.zip"


def packed(path, *entries, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as made:
        for name, data in entries:
            made.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\nb", "a\\b", "C:/a"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_hostile_names_in_archives_are_refused(kind, name, tmp_path):
    path = tmp_path / f"source.{kind}"
    if kind == "zip":
        packed(path, ("good.tif", b"x"), (name, b"x"))
    else:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as made:
            member = tarfile.TarInfo(name)
            member.size = 1
            made.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(UnsafeSourceError):
        open_listing(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_name_that_is_not_utf8_is_refused(archive):
    packed(archive, ("aaaa.tif", b"x"))
    archive.write_bytes(archive.read_bytes().replace(b"aaaa", b"a\xff\xfea"))
    with pytest.raises(UnsafeSourceError, match="not UTF-8"):
        open_listing(archive)


def test_a_name_with_a_hidden_end_is_refused(archive):
    packed(archive, ("aaaa.tif", b"x"))
    archive.write_bytes(archive.read_bytes().replace(b"aaaa", b"a\0aa"))
    with pytest.raises(UnsafeSourceError, match="control character"):
        open_listing(archive)


def test_names_that_are_one_where_case_does_not_count_are_refused(archive):
    packed(archive, ("a/Forest.tif", b"x"), ("A/forest.TIF", b"y"))
    with pytest.raises(UnsafeSourceError, match="where case does not count"):
        open_listing(archive)


def test_names_that_are_one_where_composition_does_not_count_are_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "\u00e9.tif").write_bytes(b"x")
    (tmp_path / "set" / "e\u0301.tif").write_bytes(b"y")
    with pytest.raises(UnsafeSourceError, match="where case does not count"):
        open_listing(tmp_path / "set")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(archive):
    packed(archive, ("a.tif", b"x"), ("a.tif", b"y"))
    with pytest.raises(UnsafeSourceError):
        open_listing(archive)


def test_a_name_on_disk_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "set") + b"/\xff.tif")).touch()
    with pytest.raises(UnsafeSourceError, match="not UTF-8"):
        open_listing(tmp_path / "set")


def test_a_newline_in_a_name_on_disk_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a\nb.tif").write_bytes(b"x")
    with pytest.raises(UnsafeSourceError, match="control character"):
        open_listing(tmp_path / "set")


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.txt", "../set2"])
def test_links_out_of_a_folder_are_refused(tmp_path, target):
    (tmp_path / "set").mkdir()
    (tmp_path / "set2").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "set" / "a.tif").symlink_to(target)
    with pytest.raises(UnsafeSourceError, match="leads out of the source"):
        open_listing(tmp_path / "set")


def test_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.tif").symlink_to("absent.tif")
    with pytest.raises(UnsafeSourceError, match="a link to no file"):
        open_listing(tmp_path / "set")


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a.tif").symlink_to("a.tif")

    with pytest.raises(UnsafeSourceError, match="link to no file"):
        open_listing(tmp_path)


def test_a_pipe_in_a_folder_is_refused_and_not_opened(tmp_path):
    (tmp_path / "set").mkdir()
    os.mkfifo(tmp_path / "set" / "a.tif")
    with pytest.raises(UnsafeSourceError, match="neither a file nor a folder"):
        open_listing(tmp_path / "set")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "source.tar", "w", format=tarfile.USTAR_FORMAT) as made:
        member = tarfile.TarInfo("a.tif")
        member.type, member.linkname = kind, "/etc/passwd"
        made.addfile(member)
    with pytest.raises(UnsafeSourceError, match="link, device or sparse"):
        open_listing(tmp_path / "source.tar")


def test_a_link_in_a_zip_is_refused(archive):
    entry = zipfile.ZipInfo("a.tif")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(entry, "/etc/passwd")
    with pytest.raises(UnsafeSourceError, match="is a link or device"):
        open_listing(archive)


def test_an_encrypted_zip_is_refused(archive):
    data = bytearray(packed(archive, ("a.tif", b"x" * 100)).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(RejectedError, match="is encrypted"):
        open_listing(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_in_an_unusual_way_is_refused(archive, method):
    with zipfile.ZipFile(archive, "w", method) as made:
        made.writestr("a.tif", b"x" * 100)
    with pytest.raises(RejectedError, match="is packed by method"):
        open_listing(archive)


def test_an_entry_that_inflates_a_thousandfold_is_refused(archive):
    packed(archive, ("a.tif", bytes(32 << 20)))
    with pytest.raises(UnsafeSourceError, match="declares 33,554,432 bytes"):
        open_listing(archive)


def test_entries_that_lie_over_each_other_are_refused(archive):
    data = bytearray(packed(archive, ("a.tif", b"x" * 100), ("b.tif", b"y" * 100)).read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    archive.write_bytes(data)
    with pytest.raises(UnsafeSourceError, match="lie over each other"):
        open_listing(archive)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_zip_that_is_cut_short_is_refused(archive, kept):
    rows = [(f"{i}.tif", os.urandom(500)) for i in range(20)]
    data = packed(archive, *rows).read_bytes()
    archive.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(RejectedError, match=r"damaged or cut short|begin like a zip"):
        open_listing(archive)


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_zip_that_declares_more_than_there_can_be_is_refused(archive, size):
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.txt", b"hello")
    whole = archive.read_bytes()
    begins, ends = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    entry, end = bytearray(whole[begins:ends]), bytearray(whole[ends:])
    struct.pack_into("<LL", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)  # the sizes are in an extra field
    struct.pack_into("<H", entry, 30, 20)
    entry += struct.pack("<HHQQ", 1, 16, size, size)
    struct.pack_into("<L", end, 12, len(entry))
    archive.write_bytes(whole[:begins] + entry + end)

    with pytest.raises(RejectedError, match="cut short"):
        open_listing(archive)


def test_a_tar_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "source.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as made:
        member = tarfile.TarInfo("a.tif")
        member.size = 5000
        made.addfile(member, io.BytesIO(bytes(5000)))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RejectedError, match="cut short"):
        open_listing(path)


def pax_header(*records):
    said = b"".join(records)
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(said)
    return head.tobuf(tarfile.USTAR_FORMAT) + said.ljust(-(-len(said) // 512) * 512, b"\0")


def pax_record(said):
    length = len(said) + 4
    return f"{length:02} {said}\n".encode()


TAR_LIES = {
    "headers of headers": pax_header(pax_record("a=b")) * 3000,
    "a map that is no numbers": pax_header(pax_record("GNU.sparse.map=x,y")),
    "a record longer than memory": pax_header(b"99999999999999999999 a=b\n"),
    "a size below nothing": pax_header(pax_record("size=-5")),
    "no name": pax_header(pax_record("path=")),
}


@pytest.mark.parametrize("lie", TAR_LIES)
def test_a_tar_whose_headers_lie_is_refused(tmp_path, lie):
    member = tarfile.TarInfo("a.txt").tobuf()
    (tmp_path / "source.tar").write_bytes(TAR_LIES[lie] + member + b"\0" * 1024)

    with pytest.raises(RejectedError):
        open_listing(tmp_path / "source.tar")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_a_packed_tar_is_refused_with_what_to_do(tmp_path, suffix):
    mode = {".tgz": "gz"}.get(suffix, suffix.rsplit(".", 1)[-1])
    path = tmp_path / f"source{suffix}"
    with tarfile.open(path, f"w:{mode}") as made:
        made.addfile(tarfile.TarInfo("a.tif"))
    with pytest.raises(RejectedError, match="from front to back"):
        open_listing(path)


def test_what_only_ends_like_a_zip_is_refused(archive):
    archive.write_bytes(b"<html>404</html>")
    with pytest.raises(RejectedError, match="does not begin like a zip"):
        open_listing(archive)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(RejectedError, match="holds no files"):
        open_listing(tmp_path)


def test_an_empty_zip_is_refused(archive):
    packed(archive)
    with pytest.raises(RejectedError, match="holds no files"):
        open_listing(archive)


@pytest.mark.parametrize("lie", ["larger", "smaller", "checksum"])
def test_an_entry_that_lies_about_itself_is_refused_when_read(archive, lie):
    content = b"0123456789" * 50
    data = bytearray(packed(archive, ("a.tif", content)).read_bytes())
    central = data.index(b"PK\x01\x02")
    if lie == "checksum":
        data[central + 16 : central + 20] = struct.pack("<I", zlib.crc32(b"other"))
    else:
        size = len(content) + (100 if lie == "larger" else -100)
        data[central + 24 : central + 28] = struct.pack("<I", size)
    archive.write_bytes(data)
    with pytest.raises(RejectedError, match="damaged"):
        open_listing(archive).read("a.tif")


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.tif").write_bytes(b"before")
    listing = open_listing(tmp_path / "set")
    (tmp_path / "set" / "a.tif").write_bytes(b"longer than before")
    with pytest.raises(RejectedError, match="are declared"):
        listing.read("a.tif")
