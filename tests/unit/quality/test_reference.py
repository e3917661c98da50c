import re

from registry.curate.quality.checks import CHECKS


def test_the_reference_lists_every_check_with_its_rule_and_level(project):
    page = (project / "docs" / "reference" / "checks.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| .+? \| (Q\d)? ?\|$", page, re.MULTILINE)

    assert rows == [(check.name, check.about, check.denies or "") for check in CHECKS]
