"""The reference of recipes says what the recipes say."""

import runpy


def test_the_reference_is_what_the_recipes_say(project):
    page = runpy.run_path(str(project / "docs/recipes.py"))["page"]

    assert (project / "docs/reference/recipes.md").read_text("utf-8") == page()
