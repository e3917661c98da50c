"""The library's own rules about itself."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import registry
from registry import errors

SOURCES = sorted(Path(registry.__path__[0]).rglob("*.py"))
HEAVY = ("torch", "pyspark", "dagster", "fastapi", "lakefs", "sqlalchemy", "rasterio", "duckdb")


def public_functions():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield path, node


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


def test_the_front_door_is_small_and_sorted():
    assert sorted(registry.__all__) == registry.__all__
    assert len(registry.__all__) <= 12


@pytest.mark.parametrize("name", registry.__all__)
def test_every_name_at_the_front_door_opens(name):
    assert inspect.getdoc(getattr(registry, name))


def test_importing_the_library_loads_nothing_heavy():
    assert not loaded_by("import registry") & {*HEAVY, "pyarrow", "numpy"}


def test_the_command_line_starts_without_the_heavy_libraries():
    assert not loaded_by("import registry.cli.app") & {*HEAVY, "pyarrow", "numpy"}


def test_whoever_takes_an_array_states_its_shape_and_unit():
    units = ("unitless", "metres", "degrees", "seconds", "kelvin", "reflectance", "digital number")
    silent = [
        f"{path.name}:{node.name}"
        for path, node in public_functions()
        if "ndarray" in ast.unparse(node.args)
        and not (
            "shape ``(" in (doc := ast.get_docstring(node) or "")
            and any(unit in doc for unit in units)
        )
    ]

    assert silent == []


def test_error_codes_are_unique_and_every_branch_has_its_exit_status():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    assert len({kind.code for kind in kinds}) == len(kinds)
    assert len({kind.exit_status for kind in kinds}) == len(kinds)


def test_no_product_module_catches_everything():
    broad = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]

    assert broad == []
