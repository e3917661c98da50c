"""The other side of a transfer may be anybody's: nothing it says leads anywhere else."""

import io
import json
from dataclasses import replace

import pytest

from registry import lake
from registry.errors import ConflictError, CorruptError, InvalidInputError, RegistryError
from registry.lake.transfer import clone, push
from registry.tables import store
from registry.tables.errors import UnsafeTableError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def away(tmp_path):
    return lake.init(str(tmp_path / "away"))


class Liar:
    """A repository that is what another is, but for what a test makes it say."""

    def __init__(self, honest, **lies):
        self._honest, self._lies = honest, lies

    def __getattr__(self, name):
        if name in self._lies:
            return lambda *given, **named: self._lies[name](
                getattr(self._honest, name)(*given, **named)
            )
        return getattr(self._honest, name)


class Lair:
    """A lake of one liar."""

    address = "file:///nowhere"

    def __init__(self, liar):
        self._liar = liar

    def repository(self, name):
        return self._liar


@pytest.fixture
def lying(tmp_path):
    """Return a lake whose dataset has a table, a file and a tag, and lies as it is told."""
    home = lake.init(str(tmp_path / "home"))
    honest = home.create("ships")
    with honest.transaction("main", message="add") as transaction:
        transaction.put("a", b"1")
        transaction.put("b", b"22")
    honest.create_tag("v1", at="main")
    return lambda **lies: Lair(Liar(honest, **lies))


def nothing_came(away, tmp_path):
    assert away.repositories() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["away", "home"]


def changed(**fields):
    """Return a lie about every object in a difference."""

    def lie(changes):
        for change in changes:
            yield replace(change, **{
                name: replace(change.after, **value) if isinstance(value, dict) else value
                for name, value in fields.items()
            })  # fmt: skip

    return lie


@pytest.mark.parametrize(
    "path", ["../../../up", "/etc/cron.d/x", "a/../../x", ".git/hooks/post-checkout", "a\\b", "\n"]
)
def test_paths_that_lead_elsewhere_are_refused(lying, away, tmp_path, path):
    with pytest.raises(InvalidInputError):
        clone(lying(diff=changed(path=path)), "ships", into=away)
    nothing_came(away, tmp_path)


@pytest.mark.parametrize(
    "lie",
    [
        {"sha256": "../../../../etc/passwd"},
        {"sha256": "0" * 64},
        {"sha256": "A" * 64},
        {"size": 10**18},
        {"size": 0},
        {"size": -1},
    ],
)
def test_hashes_and_sizes_that_are_not_so_are_refused(lying, away, tmp_path, lie):
    with pytest.raises((InvalidInputError, CorruptError)):
        clone(lying(diff=changed(after=lie)), "ships", into=away)
    nothing_came(away, tmp_path)


def test_a_stream_without_end_is_not_read_on(lying, away, tmp_path):
    class Endless(io.RawIOBase):
        read_so_far = 0

        def readinto(self, buffer):
            type(self).read_so_far += len(buffer)
            return len(buffer)

        def readable(self):
            return True

    def endless(stream):
        stream.close()
        return io.BufferedReader(Endless(), 1 << 20)

    with pytest.raises(CorruptError, match="arrived as"):
        clone(lying(open=endless), "ships", into=away)
    assert Endless.read_so_far < 64 << 20
    nothing_came(away, tmp_path)


@pytest.mark.parametrize("name", ["../../x", "a/../../b", "/etc/x", "a.lock", "-rf", "a b", ""])
def test_names_of_refs_that_lead_elsewhere_are_refused(lying, away, tmp_path, name):
    with pytest.raises(InvalidInputError):
        clone(lying(tags=lambda tags: {name: tags["v1"]}), "ships", into=away)
    lie = lying(branches=lambda there: {**there, f"derived/{name}": there["main"]})
    with pytest.raises(InvalidInputError):
        clone(lie, "ships", into=away)
    nothing_came(away, tmp_path)


@pytest.mark.parametrize("name", ["../up", "a/b", "Ships", ""])
def test_names_of_datasets_that_lead_elsewhere_are_refused(lying, away, tmp_path, name):
    with pytest.raises(InvalidInputError):
        clone(lying(), name, into=away)
    nothing_came(away, tmp_path)


def test_a_tree_that_is_not_what_it_was_said_to_be_moves_nothing(lying, away, tmp_path):
    with pytest.raises(CorruptError, match="arrived as another tree"):
        clone(lying(diff=lambda changes: list(changes)[:1]), "ships", into=away)
    nothing_came(away, tmp_path)


def test_a_commit_that_claims_to_follow_what_is_not_there_is_refused(lying, away, tmp_path):
    def orphaned(commits):
        for commit in commits:
            yield replace(commit, parents=("f" * 40,)) if commit.parents else commit

    with pytest.raises(RegistryError):
        clone(lying(log=orphaned), "ships", into=away)
    nothing_came(away, tmp_path)


def test_a_hostile_push_changes_nothing_that_was_there(lying, away):
    clone(lying(), "ships", into=away)
    there = away.repository("ships")
    before = there.branches(), there.tags()
    elsewhere = lying(
        tags=lambda tags: {"v1": there.commit(tags["v1"]).parents[0], "v2": tags["v1"]}
    )
    with pytest.raises(ConflictError):
        push(elsewhere, "ships", to=away)
    assert (there.branches(), there.tags()) == before


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "file:///etc/passwd"])
def test_a_delta_log_that_arrived_is_checked_before_an_engine_opens_it(tmp_path, away, path):
    home = lake.init(str(tmp_path / "home"))
    repository = home.create("ships")
    actions = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "0", "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": []}),
                "partitionColumns": [], "configuration": {},
            }
        },
        {
            "add": {
                "path": path, "size": 1, "modificationTime": 0, "dataChange": True,
                "partitionValues": {},
            }
        },
    ]  # fmt: skip
    with repository.transaction("main", message="a table") as transaction:
        log = "\n".join(map(json.dumps, actions)).encode()
        transaction.put("samples/_delta_log/00000000000000000000.json", log)
    clone(home, "ships", into=away)
    root = away.repository("ships").locate("main")
    with pytest.raises(UnsafeTableError):
        store.read(root, "samples")
