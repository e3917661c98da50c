import pytest

from registry.catalog import Spec
from registry.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)


@pytest.fixture
def publish(ungated):
    def with_note(registry, text="one"):
        draft = registry.draft("ships")
        return ungated(registry, draft, lambda root: (root / "notes.md").write_text(text), text)

    return with_note


def test_a_new_dataset_has_its_card_on_main_and_a_draft(ships):
    assert ships.names() == ["ships"]
    assert ships.resolve("ships@main").spec.licence == "MIT"
    assert ships.resolve("ships@draft").commit == ships.resolve("ships@main").commit


def test_a_dataset_is_made_once(ships):
    with pytest.raises(ConflictError):
        ships.create(Spec(name="ships"))


def test_main_cannot_be_written_to(ships):
    with pytest.raises(ForbiddenError, match="publish"):
        ships.draft("ships", "main")


def test_a_name_alone_is_the_newest_version(ships, publish):
    publish(ships, "one")
    second = publish(ships, "two")

    assert ships.resolve("ships").commit == second.commit
    assert ships.resolve("ships").tag == "v2"
    assert [version.tag for version in ships.versions("ships")] == ["v1", "v2"]


def test_a_version_does_not_change_when_the_branch_moves_on(ships, publish):
    first = publish(ships, "one")
    content = first.content_id
    draft = ships.resolve("ships@draft")
    publish(ships, "two")

    assert ships.resolve("ships@v1").content_id == content
    assert (first.root.path / "notes.md").read_text() == "one"
    assert (draft.root.path / "notes.md").read_text() == "one"


def test_the_same_files_have_the_same_content_id_in_every_lake(tmp_path, ships, write):
    from registry import lake
    from registry.catalog import Registry

    other = Registry(lake=lake.init(str(tmp_path / "other")))
    other.create(Spec(name="ships", licence="MIT", authors=("Ada Lovelace",)))
    here, there = (ships.resolve("ships@main"), other.resolve("ships@main"))

    assert here.content_id == there.content_id
    write(other.draft("ships"), "a.txt", "a")
    assert other.resolve("ships@draft").content_id != here.content_id


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("boats", "boats"),
        ("ships", "no published version"),
        ("ships@v1", "nothing is published"),
        ("ships@nowhere", "nowhere"),
        ("ships@deadbeef", "deadbeef"),
    ],
)
def test_what_does_not_exist_is_not_found_and_says_what_to_do(ships, ref, said):
    with pytest.raises(NotFoundError, match=said):
        ships.resolve(ref)


def test_a_missing_version_is_told_the_latest(ships, publish):
    publish(ships)

    with pytest.raises(NotFoundError, match="no version v7; its latest is v1"):
        ships.resolve("ships@v7")


def test_a_commit_is_named_by_its_first_digits(ships, write):
    head = write(ships.draft("ships"), "a.txt", "a")

    assert ships.resolve(f"ships@{head[:8]}").commit.id == head


def test_a_draft_is_the_callers_own(ships, write, monkeypatch):
    write(ships.draft("ships"), "a.txt", "anna's")
    monkeypatch.setenv("EOLAB_USER", "bob")

    with pytest.raises(NotFoundError, match="no draft"):
        ships.resolve("ships@draft")
    assert ships.draft("ships").branch == "draft/bob"
    assert ships.resolve("ships@draft").commit == ships.resolve("ships@main").commit


def test_a_draft_with_nothing_of_its_own_follows_main(ships, publish, monkeypatch):
    ships.draft("ships")
    monkeypatch.setenv("EOLAB_USER", "bob")
    publish(ships)
    monkeypatch.setenv("EOLAB_USER", "anna")

    assert ships.draft("ships").head == ships.resolve("ships@v1").commit.id


def test_an_edit_that_fails_leaves_no_trace(ships):
    draft = ships.draft("ships")
    before = draft.head

    def fail():
        with draft.edit("half done") as root:
            (root / "half.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert draft.head == before


def test_nothing_is_released_that_no_report_has_passed(ships, write):
    draft = ships.draft("ships")
    main = draft.head
    head = write(draft, "a.txt", "a")
    draft.repository.advance("main", to=head, expected=main)

    with pytest.raises(ForbiddenError, match="no report"):
        ships.release("ships", commit=head, message="no")
    assert ships.versions("ships") == []


def test_nothing_is_released_that_main_has_not_moved_to(ships, publish):
    publish(ships)
    draft = ships.draft("ships")
    with draft.repository.workspace(draft.branch) as workspace:
        (workspace.path / "late.txt").write_text("late")
        head = workspace.commit("late", metadata={"verdict": "passed"}).id

    with pytest.raises(ForbiddenError, match="no report"):
        ships.release("ships", commit=head, message="late")
    assert [version.tag for version in ships.versions("ships")] == ["v1"]


@pytest.mark.parametrize("claim", ["verdict", "release"])
def test_no_draft_may_claim_that_it_was_judged(ships, claim):
    draft = ships.draft("ships")
    before = draft.head

    with pytest.raises(ForbiddenError, match=claim), draft.edit("sly", {claim: "passed"}):
        pass
    assert draft.head == before


def test_a_commit_is_tagged_once_however_often_it_is_asked_for(ships, publish):
    version = publish(ships)

    again = ships.release("ships", commit=version.commit.id, message="again")

    assert again.tag == "v1"
    assert len(ships.versions("ships")) == 1


def test_a_withdrawn_version_stays_readable_and_is_no_longer_the_newest(ships, publish):
    publish(ships, "one")
    publish(ships, "two")

    withdrawn = ships.withdraw("ships@v2", "wrong labels")

    assert withdrawn.tombstone.reason == "wrong labels"
    assert withdrawn.tombstone.by == "Anna <anna@example.org>"
    assert (ships.resolve("ships@v2").root.path / "notes.md").read_text() == "two"
    assert ships.resolve("ships").tag == "v1"
    ships.withdraw("ships@v1", "those too")
    with pytest.raises(NotFoundError, match="every version"):
        ships.resolve("ships")


@pytest.mark.parametrize(
    ("ref", "reason"), [("ships@main", "x"), ("ships", "x"), ("ships@v1", " ")]
)
def test_only_versions_are_withdrawn_and_only_with_a_reason(ships, publish, ref, reason):
    publish(ships)

    with pytest.raises(InvalidInputError):
        ships.withdraw(ref, reason)


def test_a_tombstone_that_cannot_be_read_is_damage(ships, publish):
    publish(ships)
    ships.withdraw("ships@v1", "x")
    repository = ships.lake.repository("ships")
    with repository.transaction("tombstones", message="spoil") as transaction:
        transaction.put("v1.json", b"[]")

    with pytest.raises(CorruptError, match="tombstone"):
        ships.resolve("ships@v1")


@pytest.mark.parametrize(
    "name",
    [
        "main",
        "draft",
        "v1",
        "derived/v1",
        "staging/1-mine",
        "eolab-notes",
        "deadbeef",
        "../x",
        "a b",
    ],
)
def test_a_branch_cannot_take_a_name_that_means_something_else(ships, name):
    with pytest.raises(InvalidInputError):
        ships.branch("ships", name)


def test_branches_are_made_listed_and_deleted(ships):
    ships.branch("ships", "fix-labels")

    assert set(ships.branches("ships")) == {"main", "draft/anna", "fix-labels"}
    ships.delete_branch("ships", "fix-labels")
    assert "fix-labels" not in ships.branches("ships")
    with pytest.raises(ForbiddenError):
        ships.delete_branch("ships", "main")


def test_the_last_commit_is_taken_back_and_brought_back(ships, write):
    draft = ships.draft("ships")
    before, after = draft.head, write(draft, "a.txt", "a")

    ships.undo("ships", "draft")
    assert draft.head == before
    ships.undo("ships", "draft")
    assert draft.head == after


def test_an_undo_takes_back_what_the_caller_did_though_main_has_moved_on(ships, write):
    draft = ships.draft("ships")
    before = draft.head
    write(draft, "a.txt", "one")
    ahead = ships.branch("ships", "ahead", at="draft")
    write(ahead, "b.txt", "two")
    draft.repository.advance("main", to=ahead.head, expected=draft.repository.resolve("main"))
    ships.undo("ships", "draft")
    assert draft.head == before


def test_a_deleted_branch_comes_back(ships):
    made = ships.branch("ships", "fix")
    head = made.head
    ships.delete_branch("ships", "fix")
    ships.undo("ships", "fix")
    assert made.head == head


def test_a_version_cannot_be_shadowed_by_a_branch(ships, publish, write):
    first = publish(ships, "one")
    draft = ships.draft("ships")
    write(draft, "later.txt", "x")
    draft.repository.create_branch("v1", at=draft.head)
    assert ships.resolve("ships@v1").commit == first.commit
    assert ships.resolve("ships").commit == first.commit


def test_history_is_read_from_any_ref_and_by_path(ships, write):
    draft = ships.draft("ships")
    write(draft, "a.txt", "a", "add a")
    write(draft, "b.txt", "b", "add b")

    assert [c.message for c in ships.log("ships@draft")][:3] == ["add b", "add a", "create ships"]
    assert [c.message for c in ships.log("ships@draft", "a.txt")] == ["add a"]
    assert next(iter(ships.log("ships"))).message == "create ships"


def test_what_is_derived_is_kept_beside_its_version(ships, publish, write):
    version = publish(ships)
    write(ships.derive(version), "slices/x.json", "{}")

    found = ships.resolve("ships@v1")

    assert found.content_id == version.content_id
    assert (found.derived.path / "slices" / "x.json").read_text() == "{}"


def test_nothing_is_kept_beside_what_is_not_published(ships, write):
    write(ships.draft("ships"), "c.txt", "c")

    with pytest.raises(InvalidInputError, match="publish it first"):
        ships.derive(ships.resolve("ships@draft"))


def test_a_version_without_a_card_is_no_error(registry):
    repository = registry.lake.create("bare")

    assert registry.resolve("bare@main").spec == Spec(name="bare")
    assert repository.name == "bare"
