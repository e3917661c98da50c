import json
from dataclasses import replace

import pytest
import yaml

from registry.catalog import Provider, Spec, cite
from registry.errors import InvalidInputError


@pytest.fixture
def version(registry, ungated):
    spec = Spec(
        name="ships",
        title="Ships & boats_of {Denmark}",
        authors=("Ada Lovelace", "Grace Hopper"),
        licence="cc-by-4.0",
        providers=(
            Provider(name="ESA", roles=("producer",)),
            Provider(name="Hub", roles=("host",)),
        ),
        source="https://example.org/ships",
        tags=("ships",),
        body="# Ships\n\nBoats from above.\n",
    )
    draft = registry.create(spec)
    return ungated(registry, draft, lambda root: (root / "a.txt").write_text("a"))


def test_every_style_names_the_version_and_the_bytes(version):
    for style in ("bibtex", "datacite", "cff"):
        text = cite(version, style)
        assert f"sha256:{version.content_id}" in text
        assert "v1" in text
        assert "Ada Lovelace" in text


def test_bibtex_escapes_what_tex_would_read(version):
    text = cite(version, "bibtex")

    assert text.startswith("@dataset{ships-v1,\n")
    assert r"Ships \& boats\_of \{Denmark\}" in text
    assert "author = {{Ada Lovelace} and {Grace Hopper}}" in text
    assert text.count("{") == text.count("}")


def test_datacite_has_what_its_schema_requires(version):
    record = json.loads(cite(version, "datacite"))

    assert record["schemaVersion"] == "http://datacite.org/schema/kernel-4"
    assert record["types"]["resourceTypeGeneral"] == "Dataset"
    assert record["publisher"] == {"name": "Hub"}
    assert record["publicationYear"] == str(version.commit.at.year)
    assert [creator["name"] for creator in record["creators"]] == ["Ada Lovelace", "Grace Hopper"]
    assert record["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
    assert record["descriptions"][0]["description"] == "Boats from above."


def test_cff_has_what_its_schema_requires(version):
    record = yaml.safe_load(cite(version, "cff"))

    assert {"cff-version", "message", "authors", "title"} <= set(record)
    assert record["cff-version"] == "1.2.0"
    assert record["type"] == "dataset"
    assert record["version"] == "v1"
    assert record["license"] == "CC-BY-4.0"
    assert record["url"] == "https://example.org/ships"


def test_what_nobody_stated_is_left_out(registry):
    registry.create(Spec(name="bare", licence="ask us", source="a shoebox"))
    version = registry.resolve("bare@main")

    assert "Anonymous" in cite(version)
    assert version.commit.id[:12] in cite(version)
    assert "license" not in yaml.safe_load(cite(version, "cff"))
    assert "url" not in yaml.safe_load(cite(version, "cff"))


def test_a_withdrawn_version_is_cited_as_such(version, registry):
    withdrawn = registry.withdraw("ships@v1", "wrong {labels}")

    assert r"withdrawn: wrong \{labels\}" in cite(withdrawn)
    assert cite(replace(withdrawn, tombstone=None)) == cite(version)


def test_an_unknown_style_is_told_the_known_ones(version):
    with pytest.raises(InvalidInputError, match="bibtex, datacite, cff"):
        cite(version, "apa")
