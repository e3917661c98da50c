"""What the repository holds, and what it must never hold."""

import re
import subprocess

import pytest

TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
    "assets", "bench", "constraints.txt", "dagster_home", "docs", "pyproject.toml", "registry",
    "spark_jobs", "tests",
}  # fmt: skip
DATA = (".tif", ".tiff", ".jp2", ".nc", ".h5", ".laz", ".shp", ".gpkg", ".parquet", ".zip")


@pytest.fixture(scope="module")
def tracked(project):
    ran = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project, check=True, capture_output=True, text=True
    )
    return [project / name for name in ran.stdout.split("\0") if name and (project / name).exists()]


def test_the_top_level_is_the_agreed_one(project, tracked):
    assert {path.relative_to(project).parts[0] for path in tracked} <= TOP


def test_nobody_elses_data_are_tracked(project, tracked):
    golden = project / "tests" / "golden"
    assert [p for p in tracked if p.suffix in DATA and golden not in p.parents] == []
    assert [p for p in tracked if p.stat().st_size > 500_000] == []


def test_no_tracked_text_names_a_package_registry(tracked):
    hosts = re.compile(
        r"https?://[^\s\"']*(/simple/|/maven2/|/-/[^\s\"']*\.tgz|pythonhosted|pypi\.)"
    )
    assert [p.name for p in tracked if hosts.search(p.read_text("utf-8", "replace"))] == []


def test_pins_are_exact_and_carry_no_addresses(project):
    pins = (project / "constraints.txt").read_text("utf-8").split()
    assert pins
    assert all(re.fullmatch(r"[a-z0-9._\[\]-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
