"""What is written down on the server says the same to all, whenever somebody is killed."""

import pytest

from registry.lake.lakefs.notes import Notes

OLD, NEW, NEWER, OTHER = (f"{number:064x}" for number in range(4))


class Killed(BaseException):
    """Ends a process where it stands."""


@pytest.fixture
def notes(repo):
    return Notes(repo._remote)


@pytest.fixture
def ends(notes):
    """List what movements of one branch say, newest first."""
    return lambda: [(one.before, one.after) for one in notes.movements("branch/b")]


@pytest.fixture
def move(notes):
    return lambda before, after: notes.moved(
        "branch/b", before=before, after=after, operation="commit", author="a <a@b>"
    )


def test_a_movement_is_told_anew_in_its_place(notes, move, ends):
    move(None, OTHER)
    was = move(OTHER, OLD)
    move(OLD, None)
    notes.replace({OLD: NEW})
    assert ends() == [(NEW, None), (OTHER, NEW), (None, OTHER)]
    assert [one.at for one in notes.movements("branch/b")][1] == was.at
    notes.replace({NEW: NEWER})
    assert ends() == [(NEWER, None), (OTHER, NEWER), (None, OTHER)]


@pytest.mark.parametrize("step", ["write", "strike"])
def test_a_kill_while_movements_are_told_anew_loses_none(notes, move, ends, monkeypatch, step):
    move(None, OTHER)
    move(OTHER, OLD)
    move(OLD, None)
    do = getattr(Notes, step)

    def die(self, *given):
        if step == "write" or given:
            raise Killed
        do(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Notes, step, die)
        with pytest.raises(Killed):
            notes.replace({OLD: NEW})
    assert len(ends()) == 3
    notes.replace({OLD: NEW})
    assert ends() == [(NEW, None), (OTHER, NEW), (None, OTHER)]
    said = str(list(notes.read("moved/")))
    assert OLD not in said


def test_a_movement_that_led_to_what_is_gone_is_gone(notes, move, ends):
    move(None, OTHER)
    move(OTHER, OLD)
    notes.replace({OLD: None})
    assert ends() == [(None, OTHER)]
