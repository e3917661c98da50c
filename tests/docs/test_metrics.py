"""The reference of metrics says what the definitions say, and misses none."""

import runpy

from registry.learn.models.architecture import HeadTask
from registry.learn.scoring.metrics import METRICS


def test_the_reference_is_what_the_definitions_say(project):
    page = runpy.run_path(str(project / "docs/metrics.py"))["page"]

    assert (project / "docs/reference/metrics.md").read_text("utf-8") == page()


def test_no_metric_is_missing(project):
    page = (project / "docs/reference/metrics.md").read_text("utf-8")

    assert {name for name in METRICS if f"| `{name}` " not in page} == set()


def test_every_metric_is_defined_with_its_reference():
    for one in METRICS.values():
        assert len(one.definition) > 20
        assert len(one.reference) > 10
        assert set(one.tasks) <= set(HeadTask)
