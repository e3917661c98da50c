import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidInputError
from registry.lake.names import _check_component, _check_whole, check_key, default_author


@given(st.text(max_size=30) | st.from_regex(r"[a-z.~:]{1,8}(/[a-z.~]{1,8}){0,3}", fullmatch=True))
def test_the_quick_way_and_the_slow_way_agree(key):
    def slow():
        _check_whole(key)
        for component in key.split("/"):
            _check_component(key, component)

    try:
        slow()
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            check_key(key)
    else:
        assert check_key(key) == key


def test_the_author_is_who_the_environment_says(monkeypatch):
    for name in ("EOLAB_AUTHOR", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EOLAB_USER"):
        monkeypatch.delenv(name, raising=False)
    assert default_author().endswith("@localhost>")
    monkeypatch.setenv("EOLAB_USER", "anna")
    assert default_author() == "anna <anna@localhost>"
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Anna B")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "anna@example.org")
    assert default_author() == "Anna B <anna@example.org>"
    monkeypatch.setenv("EOLAB_AUTHOR", "Ada <ada@example.org>")
    assert default_author() == "Ada <ada@example.org>"
    monkeypatch.setenv("EOLAB_AUTHOR", "nobody")
    with pytest.raises(InvalidInputError):
        default_author()
