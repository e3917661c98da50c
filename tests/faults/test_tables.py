"""Damage in the files of tables: ``fsck`` finds all, the checks what is in pixels."""

import random

import pytest

from registry.curate.publishing import NotPassedError, publish
from registry.curate.quality import check
from registry.errors import CorruptError, RegistryError


def files_of(version, table):
    """Return the files of a table in the view, with where their bytes are stored."""
    entries = version.repository.entries(version.commit.id, table)
    layout = version.repository._layout
    return {version.root.path / entry.path: layout.object(entry.sha256) for entry in entries}


def flip(file, place):
    """Flip a bit of a file where it lies, and so of everything that is linked to it."""
    mode = file.stat().st_mode
    file.chmod(0o644)
    with file.open("r+b") as stream:
        stream.seek(place // 8)
        (byte,) = stream.read(1)
        stream.seek(place // 8)
        stream.write(bytes([byte ^ (1 << place % 8)]))
    file.chmod(mode)


@pytest.mark.parametrize("table", ["samples", "assets", "pixels", "reports/quality"])
@pytest.mark.parametrize("kind", [".parquet", ".json", "_last_checkpoint", ".npy"])
def test_every_bit_that_flips_in_a_table_is_found(registry, table, kind):
    version = registry.resolve("fields@v1")
    files = [
        stored for path, stored in files_of(version, table).items()
        if path.name.endswith(kind) and stored.stat().st_size
    ]  # fmt: skip
    if not files:
        assert kind == ".npy" or table == "reports/quality"
        return
    chance = random.Random(f"{table}{kind}")  # noqa: S311 — repeatable, no secret
    for _ in range(12):
        file = chance.choice(files)
        place = chance.randrange(file.stat().st_size * 8)
        flip(file, place)
        damages = list(version.repository.fsck())
        assert [damage.what for damage in damages] == [f"object {file.name}"], (file, place)
        flip(file, place)
    assert list(version.repository.fsck()) == []


def test_the_checks_find_pixels_that_are_not_those_that_were_stored(registry):
    version = registry.resolve("fields@v1")
    (file,) = [f for f in files_of(version, "pixels") if f.parent.name == "pixels"]
    chance = random.Random(2)  # noqa: S311 — repeatable, no secret
    whole, seen = file.stat().st_size * 8, set()
    for _ in range(25):
        place = chance.randrange(
            whole // 20, whole * 17 // 20
        )  # where the pixels lie, not the foot
        flip(file, place)
        try:
            found = {row["check"] for row in check(version).findings.to_pylist()}
        except RegistryError as error:
            found = {error.code}
        assert found & {"checksum", "unreadable", "corrupt"}, place
        seen |= found
        flip(file, place)
    assert "checksum" in seen or "unreadable" in seen
    assert check(version).passed


def test_a_version_with_pixels_of_another_hash_is_not_published(registry):
    draft = registry.draft("fields")
    view = registry.resolve("fields@draft").root.path
    (file,) = (view / "pixels").glob("*.parquet")
    flip(file, file.stat().st_size * 4)
    with draft.edit("something new") as root:
        (root / "NOTES.md").write_text("something new")
    with pytest.raises((NotPassedError, CorruptError)) as raised:
        publish(registry, "fields", message="no")
    assert raised.value.hint
    assert [version.tag for version in registry.versions("fields")] == ["v1"]


@pytest.mark.parametrize(("kind", "place"), [("*.json", 3), ("*.checkpoint.parquet", -3)])
def test_reading_a_log_that_is_damaged_says_so(registry, kind, place):
    version = registry.resolve("fields@v1")
    (file,) = (version.root.path / "samples" / "_delta_log").glob(kind)
    flip(file, place % (file.stat().st_size * 8))  # Parquet is read from its end
    with pytest.raises(RegistryError, match="hint"):
        version.table("samples")
    assert list(version.repository.fsck()) != []
