"""``compute.yaml``: what it may say, and what is refused before anything runs."""

import pytest

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.compute.choosing import executor
from registry.learn.compute.contract import Command, Resources
from registry.learn.compute.targets import target, targets


@pytest.fixture
def said(tmp_path):
    def write(text):
        file = tmp_path / "compute.yaml"
        file.write_text(text, "utf-8")
        return file

    return write


def test_without_a_file_there_is_one_place_of_each_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    assert list(targets()) == ["local", "slurm", "kubernetes"]


def test_the_nearest_file_holds(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "settings/eolab").mkdir(parents=True)
    (tmp_path / "settings/eolab/compute.yaml").write_text("mine: {kind: slurm}\n", "utf-8")
    assert "mine" in targets()

    (tmp_path / ".eolab").mkdir()
    (tmp_path / ".eolab/compute.yaml").write_text("here: {kind: slurm}\n", "utf-8")
    assert "here" in targets()

    monkeypatch.setenv("EOLAB_COMPUTE", str(said("named: {kind: slurm}\n")))
    assert "named" in targets()
    monkeypatch.setenv("EOLAB_COMPUTE", str(tmp_path / "gone"))
    with pytest.raises(NotFoundError, match="EOLAB_COMPUTE"):
        targets()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: {kind: lsf}", "of kind 'lsf'"),
        ("x: {kind: slurm, image: a}", "does not know"),
        ("slurm: {partition: 'a b'}", "cannot be used"),
        ("slurm: {account: '$(touch canary)'}", "cannot be used"),
        ('slurm: {account: "a\\n#SBATCH --wrap=x"}', "cannot be used"),
        ("slurm: {options: {wrap: ls}}", "cannot be used"),
        ("slurm: {options: {'output=/etc/x --nice': 1}}", "cannot be used"),
        ("slurm: {setup: {a: b}}", "cannot be used"),
        ("slurm: {environment: {'A B': c}}", "cannot be used"),
        ("slurm: {time: soon}", "cannot be used"),
        ("kubernetes: {mounts: [{path: data, host: /x}]}", "cannot be made"),
        ("kubernetes: {mounts: [{path: /data}]}", "cannot be made"),
        ("'x y': {kind: slurm}", "no name of a place"),
        ("slurm: here", "says nothing"),
        ("- slurm", "no list of places"),
        ("a: [", "cannot be read"),
        ("a: !!python/object/apply:os.system ['touch canary']", "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(said, text, problem):
    with pytest.raises(InvalidInputError, match=problem):
        targets(said(text))


def test_a_time_is_one_however_yaml_reads_it(said):
    places = targets(said("a: {kind: slurm, time: 04:00:00}\nb: {kind: slurm, time: '1-00:00:00'}"))

    assert places["a"].options == {"time": "04:00:00"}
    assert places["b"].options == {"time": "1-00:00:00"}


def test_an_unknown_place_names_those_there_are(said):
    with pytest.raises(NotFoundError, match="local, slurm, kubernetes, mine"):
        target("moon", said("mine: {kind: slurm}"))


def test_a_script_holds_account_partition_and_what_is_needed(said):
    file = said(
        "mine: {kind: slurm, account: eo, partition: gpu, constraint: 'a100|h100', qos: high,"
        " gres: 'gpu:a100', time: 08:00:00, setup: [module load cuda]}"
    )
    script = executor("mine", config=file).script(
        Command(argv=("eolab", "train", "x"), name="x", resources=Resources(gpus=4, minutes=30))
    )
    head = [line for line in script.splitlines() if line.startswith("#SBATCH")]

    for option in ("--account=eo", "--partition=gpu", "--constraint=a100|h100", "--qos=high",
                   "--gres=gpu:a100:4", "--time=30", "--requeue"):  # fmt: skip
        assert f"#SBATCH {option}" in head
    assert "#SBATCH --time=08:00:00" not in head
    assert "module load cuda" in script.splitlines()


def test_this_machine_is_one_node():
    with pytest.raises(InvalidInputError, match="one node"):
        executor("local").script(Command(argv=("true",), name="x", resources=Resources(nodes=2)))
