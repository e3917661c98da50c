"""Silence that threads share."""

import threading
import warnings

import pytest
from rasterio.errors import NotGeoreferencedWarning

from registry.curate.formats.unplaced import unplaced_allowed


def test_the_first_to_leave_does_not_bring_the_warning_back_for_the_others():
    entered, left, heard = threading.Barrier(2), threading.Event(), []

    def leave_early():
        with unplaced_allowed():
            entered.wait()
        left.set()

    def stay():
        with unplaced_allowed():
            entered.wait()
            left.wait()
            try:
                warnings.warn("no place", NotGeoreferencedWarning, stacklevel=1)
            except NotGeoreferencedWarning as warning:
                heard.append(warning)

    threads = [threading.Thread(target=one) for one in (leave_early, stay)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not heard


def test_outside_the_warning_is_heard_again():
    with unplaced_allowed():
        pass

    with pytest.warns(NotGeoreferencedWarning):
        warnings.warn("no place", NotGeoreferencedWarning, stacklevel=1)
