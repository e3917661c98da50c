"""What the lake writes is what Git reads: Git's own program is the judge."""

import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import CorruptError
from registry.lake.local import commits, packs, pointers, trees
from registry.lake.local.pointers import Pointer

MIXED = {
    packs.git_id(kind, data): (kind, data)
    for kind, data in [
        ("blob", b""),
        ("blob", b"x" * 15),
        ("blob", b"y" * 16),
        ("blob", bytes(range(256)) * 40),
        *(("blob", b"%d" % number) for number in range(300)),
    ]
}


@pytest.fixture
def bare(tmp_path):
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare")], check=True)
    return tmp_path / "bare"


def git(folder, *arguments, data=None):
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], input=data, capture_output=True, check=True
    ).stdout


def test_git_gives_the_same_ids(bare):
    for oid, (kind, data) in list(MIXED.items())[:10]:
        assert git(bare, "hash-object", "-t", kind, "--stdin", data=data).decode()[:40] == oid.hex()


def test_git_reads_packs_and_their_indexes(bare):
    half = bare / "half.pack"
    places = packs.pack(MIXED, half)
    made = bare / "objects" / "pack" / f"pack-{places[-1][0].hex()}.pack"
    half.rename(made)
    made.with_suffix(".idx").write_bytes(packs.index(places))
    git(bare, "verify-pack", str(made.with_suffix(".idx")))
    for oid, (_, data) in MIXED.items():
        assert git(bare, "cat-file", "blob", oid.hex()) == data
    assert packs.indexed_ids(made.with_suffix(".idx")) == set(MIXED)
    rebuilt = bare / "rebuilt.idx"
    git(bare, "index-pack", "-o", str(rebuilt), str(made))
    assert rebuilt.read_bytes() == made.with_suffix(".idx").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_526, 65_527, 65_528, 65_535, 65_536, 200_000])
def test_git_reads_loose_objects_of_every_size(bare, size):
    data = random.Random(size).randbytes(size)  # noqa: S311 — repeatable, no secret
    oid = packs.git_id("blob", data).hex()
    file = bare / "objects" / oid[:2] / oid[2:]
    file.parent.mkdir()
    file.write_bytes(packs.loose_file("blob", data))
    assert git(bare, "cat-file", "blob", oid) == data
    git(bare, "fsck", "--full", "--strict")
    assert packs.loose_problem(oid, file.read_bytes()) is None
    assert packs.read_loose(oid, file.read_bytes()) == ("blob", data)


def test_a_loose_object_that_git_wrote_is_fine(bare):
    oid = git(bare, "hash-object", "-w", "--stdin", data=b"written by git" * 9).decode().strip()
    stored = (bare / "objects" / oid[:2] / oid[2:]).read_bytes()
    assert packs.loose_problem(oid, stored) is None


names = (
    st
    .text(
        st.characters(exclude_characters="/\\", exclude_categories=["Cs", "Cc"]),
        min_size=1,
        max_size=5,
    )
    .filter(lambda name: name not in {".", ".."})
    .map(str.encode)
)
nodes = st.builds(trees.Node, st.booleans(), st.binary(min_size=20, max_size=20))


@given(st.dictionaries(names, nodes, max_size=8))
def test_a_tree_is_read_as_it_was_written(tree):
    assert trees.parse(trees.serialise(tree)) == tree


ENTRY = b"100644 %b\x00" + b"i" * 20


@pytest.mark.parametrize(
    "data",
    [
        b"x", b"100644 a\x00short", b"120000 a\x00" + b"i" * 20,
        *(ENTRY % name for name in [
            b"..", b".", b"a/../../b", b"/etc", b".git", b".GIT ", b"git~1", b"a\\b", b"a\nb",
            b"\xff", b".gitmodules",
        ]),
        ENTRY % b"twice" + ENTRY % b"twice",
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_tree_is_refused(data):
    with pytest.raises(CorruptError):
        trees.parse(data)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**60))
def test_a_pointer_is_read_as_it_was_written(sha256, size):
    pointer = Pointer(sha256.hex() if size else pointers.EMPTY_SHA256, size)
    assert pointers.decode(pointers.encode(pointer)) == pointer


@pytest.mark.parametrize(
    "blob", [b"text", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"]
)
def test_what_is_no_pointer_is_refused(blob):
    with pytest.raises(CorruptError, match="pointer"):
        pointers.decode(blob)


lines = st.text(st.characters(categories=["L", "N", "Zs", "P"]), max_size=10).filter(
    str.isprintable
)
messages = st.one_of(
    st.lists(lines, min_size=1, max_size=4).map("\n".join),
    st.sampled_from(["a\n\nEolab-Metadata: 0", "a\n\nEolab-Metadata: 1\nk: v", "k: v"]),
).filter(lambda text: text.strip("\n"))


@given(messages, st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,5}", fullmatch=True), lines))
def test_a_commit_is_read_as_it_was_written(message, metadata):
    data = commits.encode(
        tree=b"t" * 20, parents=("a" * 40, "b" * 40), message=message,
        author="Ada L. <ada@example.org>", at=1_700_000_000, metadata=metadata,
    )  # fmt: skip
    raw = commits.decode("c" * 40, data)
    assert (raw.commit.message, raw.commit.metadata) == (message.strip("\n"), metadata)
    assert (raw.tree, raw.commit.parents) == (b"t" * 20, ("a" * 40, "b" * 40))
    assert raw.commit.author == "Ada L. <ada@example.org>"
    assert raw.commit.at.timestamp() == 1_700_000_000


TREE = "a" * 40


@pytest.mark.parametrize(
    "head",
    [
        f"tree {TREE}\nauthor a <b> 99999999999999 +0000",
        f"tree {TREE}\nauthor a <b> soon +0000",
        f"tree {TREE}\nauthor a <b> 1e3 +0000",
        f"tree {TREE}\nauthor",
        f"tree {TREE}",
        "tree zz\nauthor a <b> 1 +0000",
        f"tree {TREE[:38]}\nauthor a <b> 1 +0000",
        f"tree {TREE}\nparent zz\nauthor a <b> 1 +0000",
        f"tree {TREE}\nparent {TREE[:10]}\nauthor a <b> 1 +0000",
    ],
)
def test_a_commit_that_makes_no_sense_is_refused(head):
    with pytest.raises(CorruptError, match="cannot be read"):
        commits.decode("c" * 40, f"{head}\n\nmessage\n".encode())
