"""Whatever a log says, the lab reads the table or says why not."""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import tables
from registry.errors import RegistryError
from registry.tables import edit
from registry.tables.schemas import SPLITS

NAME = "splits/default"
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["../x", "/etc/passwd", "file:///x", "{}", "[]", '{"minValues":5}', "sample"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["a", "sample", "path", "type"]), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    for subset in ("train", "test"):
        tables.append(folder, SPLITS, pa.table({"sample": [subset], "subset": [subset]}))
    return folder


def actions_of(root):
    log = root / NAME / "_delta_log"
    return {
        path.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(log.glob("*.json"))
    }


def places(value, at=()):
    yield at
    if isinstance(value, str) and value[:1] in {"{", "["}:
        yield from ((*at, "json", *inner) for inner in places(json.loads(value)))
    elif isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def replaced(value, at, new):
    if not at:
        return new
    if at[0] == "json":
        return json.dumps(replaced(json.loads(value), at[1:], new))
    changed = copy.copy(value)
    changed[at[0]] = replaced(value[at[0]], at[1:], new)
    return changed


@settings(max_examples=300)
@given(data=st.data())
def test_a_log_with_anything_in_it_is_read_or_refused(good, data):
    logs = actions_of(good)
    at = data.draw(st.sampled_from(list(places(logs))[1:]))
    damaged = replaced(logs, at, data.draw(values))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "dataset"
        shutil.copytree(good, root)
        for name, lines in damaged.items():
            if isinstance(lines, list):
                text = "\n".join(json.dumps(line) for line in lines)
                (root / NAME / "_delta_log" / name).write_text(text)
        try:
            rows = tables.read(root, NAME)
            tables.count(root, NAME)
            tables.scan(root, NAME).read_all()
            tables.append(root, SPLITS, pa.table({"sample": ["more"]}))
            edit.update(root, NAME, set={"subset": "'x'"}, where="sample = 'more'")
        except RegistryError:
            return
        assert {"train", "test"} >= set(rows.column("sample").to_pylist())
