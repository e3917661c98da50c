"""The whole path as commands: from a folder to versions, questions, and taking things back."""

import json

import pytest
from PIL import Image

from registry import connect


@pytest.fixture
def lands(eolab, own_lake):
    """A draft of six simulated chips."""
    eolab("simulate", "segmentation", "land", "--samples", 6, "--seed", 5)
    said = eolab("ingest", "land", "--into", "lands", "--workers", 1, "--licence", "CC0-1.0",
                 "--provider", "Lab", "--json")  # fmt: skip
    assert said.status == 0, said.err
    return said.document


def test_a_folder_becomes_a_version_that_is_changed_on_a_branch(eolab, lands):
    assert (lands["added"], lands["dataset"]) == (6, "lands")
    assert eolab("check", "lands@draft", "--json").document["verdict"] == "passed"
    assert eolab("publish", "lands", "-m", "first", "--json").document["version"] == "v1"

    one = min(connect().resolve("lands").table("samples")["id"].to_pylist())
    assert eolab("branch", "lands", "fix").out == "lands@fix\n"
    edited = eolab(
        "edit", "lands@fix", "--set", "label=['forest']", "--where", f"id='{one}'", "--json"
    )
    assert edited.document["rows"] == 1
    changed = eolab("diff", "lands@v1", "lands@fix", "--rows", "--json").document["tables"]
    assert list(changed) == ["samples"]
    assert [(row["id"], row["columns"]) for row in changed["samples"]["rows"]] == [(one, ["label"])]
    assert eolab("merge", "lands", "fix", "--json").document["moved"] is True
    published = eolab("publish", "lands", "-m", "second", "--json").document

    assert published["ref"] == "lands@v2"
    assert published["content_id"] == connect().resolve("lands@v2").content_id
    assert [v.tag for v in connect().versions("lands")] == ["v1", "v2"]


def test_what_is_published_already_is_not_published_again(eolab, lands):
    eolab("publish", "lands", "-m", "first")
    said = eolab("publish", "lands", "-m", "again", "--json")

    assert said.status == 3
    assert said.document["error"]["code"] == "nothing-to-publish"


def test_the_same_folder_again_adds_nothing(eolab, lands):
    again = eolab("ingest", "land", "--into", "lands", "--workers", 1, "--licence", "CC0-1.0",
                  "--provider", "Lab", "--json").document  # fmt: skip

    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 6)
    assert again["commit"] == lands["commit"]


def test_two_folders_of_one_name_are_two_sources_once_they_are_told_apart(
    eolab, own_lake, tmp_path
):
    for shelf in ("one", "two"):
        folder = tmp_path / shelf / "photos" / "Forest"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8), "green").save(folder / f"{shelf}.png")
    into = ("--into", "woods", "--format", "image-folder", "--workers", 1)
    assert eolab("ingest", tmp_path / "one" / "photos", *into).status == 0

    refused = eolab("ingest", tmp_path / "two" / "photos", *into)
    said = eolab("ingest", tmp_path / "two" / "photos", *into, "--name", "second", "--json")

    assert refused.status == 4
    assert "--name" in refused.err
    assert (said.document["added"], said.document["source"]) == (1, "source/second")
    assert connect().resolve("woods@draft").count("samples") == 2


def test_a_draft_without_a_licence_is_not_published_but_may_be_with_a_reason(eolab, own_lake):
    for label, colour in (("Forest", "green"), ("River", "blue")):
        (own_lake / "land" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8), colour).save(own_lake / f"land/{label}/{label}_1.png")
    eolab("ingest", "land", "--into", "lands", "--workers", 1, "--format", "image-folder")

    checked = eolab("check", "lands@draft")
    assert checked.status == 5
    assert "licence: 1 error" in checked.out
    refused = eolab("publish", "lands", "-m", "first", "--json")
    assert refused.status == 5
    assert refused.document["error"]["report"]["verdict"] == "failed"
    assert {row["check"] for row in refused.document["error"]["report"]["findings"]} >= {"licence"}

    let = eolab("publish", "lands", "-m", "first", "--allow", "licence=asked the owner", "--json")
    assert let.status == 0, let.out
    judged = eolab("check", "lands@v1", "--allow", "licence=asked the owner", "--json").document
    assert judged["allowed"] == {"licence": "asked the owner"}


def test_two_sides_that_changed_the_same_are_listed_and_one_can_be_preferred(eolab, lands):
    eolab("publish", "lands", "-m", "first")
    for branch, label in (("a", "forest"), ("b", "water")):
        eolab("branch", "lands", branch)
        eolab("edit", f"lands@{branch}", "--set", f"label=['{label}']", "--where", "true")
    assert eolab("merge", "lands", "a", "--into", "b").status == 4
    refused = eolab("merge", "lands", "a", "--into", "b", "--json")

    assert refused.document["error"]["code"] == "merge-conflict"
    assert len(refused.document["error"]["conflicts"]) == 6
    assert eolab("merge", "lands", "a", "--into", "b", "--prefer", "theirs").status == 0
    assert {tuple(v) for v in connect().resolve("lands@b").table("samples")["label"].to_pylist()} \
        == {("forest",)}  # fmt: skip


def test_the_last_movement_of_a_branch_is_taken_back_and_again(eolab, lands):
    eolab("edit", "lands@draft", "--delete", "--where", "true")
    assert connect().resolve("lands@draft").count("samples") == 0
    assert "went from" in eolab("undo", "lands").out
    assert connect().resolve("lands@draft").count("samples") == 6
    assert eolab("undo", "lands", "--json").document["operation"]
    assert connect().resolve("lands@draft").count("samples") == 0


def test_a_withdrawn_version_stays_readable_and_is_no_longer_the_newest(eolab, lands):
    eolab("publish", "lands", "-m", "first")
    eolab("edit", "lands@draft", "--set", "label=['forest']", "--where", "true")
    eolab("publish", "lands", "-m", "second")
    said = eolab("withdraw", "lands@v2", "--reason", "wrong labels", "--json").document

    assert said["tombstone"]["reason"] == "wrong labels"
    assert eolab("show", "lands", "--json").document["version"] == "v1"
    assert eolab("show", "lands@v2", "--json").document["withdrawn"] == "wrong labels"
    assert eolab("list", "--json").document[0]["version"] == "v1"


def test_a_branch_is_listed_and_deleted(eolab, lands):
    eolab("branch", "lands", "anna/fix")
    assert "anna/fix" in eolab("branch", "lands").out
    assert eolab("branch", "lands", "anna/fix", "--delete").status == 0
    assert "anna/fix" not in eolab("branch", "lands", "--json").document


def test_what_nothing_refers_to_is_removed_when_the_grace_is_over(eolab, lands):
    eolab("branch", "lands", "gone")
    eolab("edit", "lands@gone", "--set", "label=['forest']", "--where", "true")
    eolab("branch", "lands", "gone", "--delete")
    would = eolab("gc", "--grace", "0s", "--dry-run", "--json").document["lands"]
    kept = eolab("gc", "--json").document["lands"]

    assert kept["objects"] == 0
    assert would["objects"] >= 0
    assert eolab("gc", "--grace", "0s").status == 0
    assert eolab("fsck").out == "nothing is damaged in lands\n"
    assert connect().resolve("lands@draft").count("samples") == 6


def test_damage_is_told_with_what_mends_it(eolab, lands, own_lake):
    largest = max((own_lake / "lake").rglob("lfs/objects/*/*/*"), key=lambda p: p.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(b"?" * largest.stat().st_size)
    said = eolab("fsck", "lands", "--json")

    assert said.status == 8
    assert [damage["dataset"] for damage in said.document["damages"]] == ["lands"]
    plain = eolab("fsck", "lands")
    assert plain.status == 8
    assert plain.err.startswith("error: 1 stored things are damaged")


def test_simulated_folders_say_what_they_are(eolab, tmp_path):
    made = eolab("simulate", "detection", tmp_path / "ships", "--samples", 2, "--json").document
    assert made["samples"] == 2
    assert json.dumps(made)
