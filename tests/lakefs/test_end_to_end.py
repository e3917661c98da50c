"""The main job on lakeFS as a user runs it: from a source to versions that two people changed."""

import json
import uuid
from pathlib import Path

import pytest

from registry.cli.app import run
from registry.lake import connect


@pytest.fixture(scope="module")
def home(server, tmp_path_factory):
    """Name an empty lake on the server by the environment, as a user would."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LAKECTL_SERVER_ENDPOINT_URL", server.endpoint)
        patched.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", server.key)
        patched.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", server.secret)
        folder = tmp_path_factory.mktemp("lakefs")
        patched.setenv("EOLAB_CACHE", str(folder / "cache"))
        patched.setenv("EOLAB_LAKE", f"lakefs:///e{uuid.uuid4().hex[:12]}")
        patched.setenv("EOLAB_USER", "anna")
        patched.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
        yield folder
        lake = connect()
        for name in lake.repositories():
            lake.delete(name)


@pytest.fixture
def eolab(home, capfdbinary):
    """Run a command in this process; return its document, or its status where it fails."""

    def command(*arguments, fails=0):
        capfdbinary.readouterr()
        status = run([*map(str, arguments), "--json"])
        out, err = capfdbinary.readouterr()
        assert status == fails, err.decode()
        return json.loads(out) if out else None

    return command


def scores(eolab, ref):
    query = f'select id, score from "{ref}".annotations where score is not null order by id'  # noqa: S608
    return {row["id"]: row["score"] for row in eolab("sql", query)}


@pytest.mark.timeout(600)
def test_a_source_becomes_versions_that_two_people_changed(eolab, home):
    source = home / "scenes"
    eolab("simulate", "detection", source, "--samples", 12)
    eolab(
        "ingest", source, "--into", "ships", "--licence", "CC0-1.0", "--provider", "simulated",
        "--task", "detection",
    )  # fmt: skip
    eolab("publish", "ships", "-m", "first")
    query = 'select id from "ships@v1".annotations order by id'
    ids = [row["id"] for row in eolab("sql", query)]
    assert len(ids) > 4

    def edit(branch, one, score):
        eolab("edit", f"ships@{branch}", "--table", "annotations", "--set", f"score = {score}",
              "--where", f"id = '{one}'", "-m", f"{branch} scores {one}")  # fmt: skip

    for branch in ("anna/fix", "berta/fix"):
        eolab("branch", "ships", branch)
    edit("anna/fix", ids[0], 0.25)
    edit("anna/fix", ids[1], 0.25)
    edit("berta/fix", ids[2], 0.75)
    edit("berta/fix", ids[1], 0.75)

    assert eolab("diff", "ships@main", "ships@anna/fix")["tables"]
    eolab("merge", "ships", "anna/fix")
    eolab("merge", "ships", "berta/fix", fails=4)
    assert len(eolab("conflicts", "ships")["conflicts"]) == 1
    eolab("resolve", "ships", "--theirs")
    assert scores(eolab, "ships@main") == {ids[0]: 0.25, ids[1]: 0.75, ids[2]: 0.75}

    eolab("publish", "ships", "-m", "scored")
    assert scores(eolab, "ships@v2") == scores(eolab, "ships@main")
    assert scores(eolab, "ships@v1") == {}
    told = [one["commit"]["message"] for one in eolab("log", "ships@main")]
    assert {f"anna/fix scores {ids[0]}", f"berta/fix scores {ids[2]}", "scored"} <= set(told)

    out = home / "out"
    eolab("checkout", "ships@v2", out)
    assert any(Path(out).rglob("*.tif"))
    assert eolab("fsck", "ships")["damages"] == []
