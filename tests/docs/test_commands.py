"""The reference of commands says what their help says."""

import runpy


def test_the_reference_is_what_the_commands_say(project):
    page = runpy.run_path(str(project / "docs/commands.py"))["page"]

    assert (project / "docs/reference/commands.md").read_text("utf-8") == page()
