import functools
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from registry.lake.local import ancestry, commits
from registry.lake.local.commits import RawCommit
from registry.lake.records import Commit


@st.composite
def histories(draw):
    """Commits with up to two older parents each, many in the same second."""
    found, second = {}, 0
    for number in range(draw(st.integers(1, 14))):
        second += draw(st.sampled_from([0, 0, 0, 1]))
        parents = draw(st.lists(st.sampled_from(sorted(found)), max_size=2, unique=True)) if (
            found
        ) else []  # fmt: skip
        oid = draw(st.sampled_from("abcdefgh")) + f"{number:039}"
        commit = Commit(
            id=oid, parents=tuple(parents), message="m", author="A <a>",
            at=datetime.fromtimestamp(second, tz=UTC),
        )  # fmt: skip
        found[oid] = RawCommit(commit, b"")
    return found


def behind(found, oid):
    return {oid}.union(*(behind(found, parent) for parent in found[oid].commit.parents))


def cached(found):
    return functools.cache(lambda oid: behind(found, oid))


@given(histories(), st.data())
def test_a_merge_base_is_a_best_common_ancestor(found, data):
    ours, theirs = (data.draw(st.sampled_from(sorted(found))) for _ in range(2))
    all_behind = cached(found)
    common = all_behind(ours) & all_behind(theirs)
    base = ancestry.merge_base(found.__getitem__, ours, theirs)
    if not common:
        assert base is None
    else:
        assert base in common
        assert not any(base in all_behind(other) for other in common - {base})
    assert ancestry.descends(found.__getitem__, ours, theirs) == (theirs in all_behind(ours))


@given(histories(), st.data())
def test_what_lies_beyond_is_what_nothing_known_reaches(found, data):
    commit = data.draw(st.sampled_from(sorted(found)))
    known = data.draw(st.sets(st.sampled_from(sorted(found)), max_size=3))
    expected = behind(found, commit).difference(*(behind(found, oid) for oid in known))
    assert set(ancestry.beyond(found.__getitem__, commit, known)) == expected


@given(histories(), st.data())
def test_a_walk_tells_all_once_and_children_first(found, data):
    head = data.draw(st.sampled_from(sorted(found)))
    told = [raw.commit.id for raw in commits.walk(found.__getitem__, head)]
    assert sorted(told) == sorted(behind(found, head))
    place = {oid: number for number, oid in enumerate(told)}
    for oid in told:
        assert all(place[parent] > place[oid] for parent in found[oid].commit.parents)
