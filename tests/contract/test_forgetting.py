"""What every lake does to move refs together and to forget, whichever backend it has.

A lake that lacks these fails here; it is never skipped.
"""

import hashlib
import io

import pytest

from registry.errors import ConflictError, NotFoundError
from registry.lake import Change, ChangeKind, Entry

SECRET, PLAIN = b"a secret that must go", b"what stays"


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def retold(repo, put):
    """Publish a secret on ``main``, then tell its history again without it.

    Gives the commit with the secret and the one that stands in for it, which no ref names yet.
    """
    first = repo.resolve("main")
    told = put({"secret": SECRET, "plain": PLAIN})
    repo.protect("main")
    repo.create_tag("v1", at="main", message="about a secret")
    kept = Entry(path="plain", sha256=digest(PLAIN), size=len(PLAIN))
    added = Change(path="plain", kind=ChangeKind.ADDED, before=None, after=kept)
    new = repo.graft(
        repo.commit(told), parents=[first], changes=[added], fetch=lambda _: io.BytesIO(PLAIN)
    )
    return told, new.id


def all_moves(old, new):
    return {"branch/main": (old, new), "tag/v1": (old, new), "branch/purges": (None, new)}


def test_refs_move_together_even_protected_ones_and_tags(repo, retold, content):
    old, new = retold
    repo.move_refs(all_moves(old, new), operation="purge")
    assert repo.resolve("main") == repo.resolve("v1") == repo.resolve("purges") == new
    assert content("v1") == {"plain": PLAIN}
    assert "main" in repo.protected()


def test_a_branch_that_moves_nowhere_is_gone(repo, retold):
    old, new = retold
    repo.create_branch("side", at=old)
    repo.move_refs({"branch/side": (old, None), "tag/v1": (old, new)}, operation="purge")
    assert "side" not in repo.branches()


@pytest.mark.parametrize("ref", ["branch/main", "tag/v1", "branch/purges"])
def test_no_ref_moves_if_one_stands_elsewhere(repo, retold, ref):
    old, new = retold
    before = repo.branches(), repo.tags()
    wrong = all_moves(old, new) | {ref: (new, new)}
    with pytest.raises(ConflictError):
        repo.move_refs(wrong, operation="purge")
    assert (repo.branches(), repo.tags()) == before


def test_no_ref_moves_to_what_is_not_here(repo, retold):
    old, _ = retold
    before = repo.branches(), repo.tags()
    with pytest.raises(NotFoundError):
        repo.move_refs(all_moves(old, "0" * 40), operation="purge")
    assert (repo.branches(), repo.tags()) == before


def test_what_a_ref_needs_is_not_forgotten(repo, retold):
    old, new = retold
    with pytest.raises(ConflictError):
        repo.forget([digest(SECRET)], commits={old: new})
    assert repo.read("secret", at="main") == SECRET


def test_what_is_forgotten_is_gone_at_once_and_the_rest_stays(repo, retold):
    old, new = retold
    view = repo.locate("main")
    repo.move_refs(all_moves(old, new), operation="purge")
    repo.forget([digest(SECRET)], commits={old: new})
    assert repo.holds([digest(SECRET), digest(PLAIN)]) == {digest(PLAIN)}
    with pytest.raises(NotFoundError):
        repo.resolve(old)
    assert not (view.path / "secret").exists()
    assert (repo.locate("main").path / "plain").read_bytes() == PLAIN
    assert not list(repo.fsck())


def test_what_is_forgotten_twice_is_forgotten_once(repo, retold):
    old, new = retold
    repo.move_refs(all_moves(old, new), operation="purge")
    repo.forget([digest(SECRET)], commits={old: new})
    again = repo.forget([digest(SECRET)], commits={old: new})
    assert again.objects == 0


def test_the_reflog_leads_to_nothing_that_is_forgotten(repo, retold):
    old, new = retold
    repo.move_refs(all_moves(old, new), operation="purge")
    repo.forget([digest(SECRET)], commits={old: new})
    named = {oid for entry in repo.reflog() for oid in (entry.before, entry.after)}
    assert old not in named


def test_what_only_a_deleted_branch_reached_is_forgotten_too(repo, put):
    repo.create_branch("side", at="main")
    told = put({"secret": SECRET}, branch="side")
    repo.delete_branch("side")
    repo.forget([digest(SECRET)])
    assert not repo.holds([digest(SECRET)])
    with pytest.raises(NotFoundError):
        repo.resolve(told)


def test_nothing_is_forgotten_under_the_hands_of_a_running_process(repo, put):
    repo.create_branch("side", at="main")
    told = put({"secret": SECRET}, branch="side")
    with repo.workspace("side"):
        repo.move_refs({"branch/side": (told, None)}, operation="purge")
        with pytest.raises(ConflictError):
            repo.forget([digest(SECRET)], commits={told: None})
    repo.forget([digest(SECRET)], commits={told: None})
    assert not repo.holds([digest(SECRET)])
