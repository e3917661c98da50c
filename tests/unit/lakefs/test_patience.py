"""What a server did without saying so is recognised when it is asked for again."""

import pytest

from registry.errors import ConflictError
from registry.lake.lakefs.answers import TakenError, UnsureError
from registry.lake.lakefs.server import patiently


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr("registry.lake.lakefs.server.FIRST_PAUSE", 0.0)


class Late:
    """Takes effect only after it was looked for in vain; repeating it is refused then."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.looked = 0

    def do(self):
        raise self.answers.pop(0)

    def look(self):
        self.looked += 1
        return "done" if self.looked > 1 else None


UNSURE = UnsureError("no answer", hint="wait")
TAKEN = TakenError("exists already", hint="choose another")


def test_what_took_effect_late_is_recognised_when_the_repeat_is_refused():
    late = Late(UNSURE, TAKEN)
    assert patiently(late.do, look=late.look) == "done"


def test_what_somebody_else_took_is_not_looked_for_where_nothing_was_unsure():
    late = Late(TAKEN)
    with pytest.raises(ConflictError, match="exists already"):
        patiently(late.do, look=late.look)
    assert late.looked == 0


def test_what_somebody_else_took_meanwhile_stays_refused():
    late = Late(UNSURE, TAKEN)
    with pytest.raises(ConflictError, match="exists already"):
        patiently(late.do, look=lambda: None)
