"""The reference of features says what their definitions say."""

import runpy


def test_the_reference_is_what_the_sets_say(project):
    page = runpy.run_path(str(project / "docs/features.py"))["page"]

    assert (project / "docs/reference/features.md").read_text("utf-8") == page()
