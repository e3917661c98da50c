"""Dagster's home works as it is."""

import yaml


def test_nothing_is_reported_to_anybody(project):
    said = yaml.safe_load((project / "dagster_home/dagster.yaml").read_text("utf-8"))

    assert said["telemetry"] == {"enabled": False}


def test_the_workspace_names_a_module_that_loads(project):
    from importlib import import_module

    said = yaml.safe_load((project / "dagster_home/workspace.yaml").read_text("utf-8"))
    [location] = said["load_from"]

    assert import_module(location["python_module"]["module_name"]).defs
