import json

import pytest

from registry.curate.quality import check, rules_hash
from registry.errors import InvalidInputError


def spoil(fields):
    fields.assets.remove(fields.asset("b", "mask"))
    fields.samples[0]["datetime"] = None


def test_an_error_fails_and_an_allowed_one_passes_with_its_reason(fields):
    spoil(fields)
    version = fields.commit()

    failed = check(version)
    passed = check(version, allow={"missing-pair": "kept for the paper"})

    assert (failed.verdict, passed.verdict) == ("failed", "passed")
    assert passed.allowed == {"missing-pair": "kept for the paper"}
    assert "kept for the paper" in passed.to_text()
    assert failed.findings.equals(passed.findings)


def test_a_single_finding_is_allowed_by_its_id(fields):
    spoil(fields)

    assert fields.check(allow={"missing-pair:b:mask": "it is cloudy"}).passed


def test_what_is_allowed_does_not_raise_the_level(fields):
    fields.pixels[fields.asset("a", "s2")["pixels"]] = ("blosc-lz4-bitshuffle", b"x")

    assert fields.check(allow={"unreadable": "known"}).level is None


@pytest.mark.parametrize("allow", [{"no-such-check": "x"}, {"licence": " "}])
def test_nothing_is_allowed_by_mistake(fields, allow):
    with pytest.raises(InvalidInputError):
        fields.check(allow=allow)


def test_the_same_tree_gives_the_same_report(fields):
    spoil(fields)
    version = fields.commit()
    first, second = check(version), check(version)

    assert first == second
    assert first.to_json() == second.to_json()
    assert first.findings.equals(second.findings)


def test_a_report_names_the_tree_and_the_rules_it_judged_by(fields):
    version = fields.commit()

    said = json.loads(check(version).to_json())

    assert said["judged"] == version.content_id
    assert said["commit"] == version.commit.id
    assert said["rules"] == rules_hash()
    assert len(said["rules"]) == 64


def test_findings_come_worst_first_with_ids_of_their_own(fields):
    spoil(fields)
    findings = fields.check().findings.to_pylist()

    assert [row["severity"] for row in findings] == ["error", "warning"]
    assert [row["id"] for row in findings] == ["missing-pair:b:mask", "missing-time:a"]


def test_the_text_says_how_many_and_shows_the_first(fields):
    for sample in fields.samples:
        sample["datetime"] = None
    fields.samples.append(fields.sample("d", 5) | {"datetime": None})
    fields.add("d", "s2", fields.image(9))
    fields.add("d", "mask", fields.mask())

    text = fields.check().to_text()

    assert "fields@draft: passed, Q0, 4 samples" in text
    assert "missing-time: 4 warning" in text
    assert "… and 1 more" in text


def test_checks_are_pure(fields):
    version = fields.commit()
    before = sorted(path for path in version.root.path.rglob("*"))
    check(version)

    assert fields.registry.resolve("fields@draft").content_id == version.content_id
    assert sorted(path for path in version.root.path.rglob("*")) == before
