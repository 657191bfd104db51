"""An `.mlpackage` as the model of an experiment: every command, and what is wrong with a package."""

import json
import sys

import coremltools as ct
import pytest

from palettune.search.command_line.cli import main
from palettune.search.experiment.experiment import load_experiment
from palettune.search.results.verification import verify
from tests.device_bench.odd_packages import everything
from tests.device_bench.runtime.support.packages import dense

WORKLOAD = """
import torch

def model():
    return "odd.mlpackage"

def _sequences(seed, count):
    return torch.randn(count, 16, 32, generator=torch.Generator().manual_seed(seed))

def example_inputs():
    return (_sequences(0, 1),)

def evaluation_data():
    return [((_sequences(seed, 3),), torch.zeros(3)) for seed in (1, 2)]

def calibration_data():
    return [((_sequences(3, 6),), None)]

def metrics(outputs, targets):
    assert set(outputs) == {"stacked", "up_scaled", "states", "heads"}
    return {"mean_state": float(outputs["states"].mean()), "count": len(targets)}
"""

EXPERIMENT = """
name = "tiny"
workload = "workload.py"
deployment_target = "iOS17"

[space]
encodings = ["fp16", "lut8", "lut4", "int8"]

[search]
solved_trials = 4
score_samples = 6

[budget]
trials = 10

[resources.data_free]
workers = 1
"""


@pytest.fixture
def package_project(project):
    project.write(EXPERIMENT, WORKLOAD)
    everything(project.folder / "odd.mlpackage")
    return project


def command(monkeypatch, capsys, *words):
    """The command line in this process: exit code and what it prints."""
    monkeypatch.setattr(sys, "argv", ["palettune", *map(str, words)])
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return ending.value.code, captured.out, captured.err


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_every_command_works_on_a_package(monkeypatch, capsys, package_project):
    project = package_project
    toml, where = project.experiment, ("--root", project.root)
    code, shown, _ = command(monkeypatch, capsys, "inspect", toml)
    assert code == 0
    assert "kept as it is: packed_already: compressed already" in shown
    facts = json.loads(command(monkeypatch, capsys, "inspect", toml, "--json")[1])
    assert {"twice", "memory.hh"} <= {layer["name"] for layer in facts["layers"]}
    assert facts["kept"]["stack"].startswith("a weight of rank 3 of matmul")
    code, _, err = command(monkeypatch, capsys, "search", toml, *where)
    assert code == 0, err
    members = json.loads(command(monkeypatch, capsys, "front", toml, "--json", *where)[1])
    assert len(members) > 1
    assert all(member["metrics"]["count"] == 6 for member in members)
    solved = json.loads(command(monkeypatch, capsys, "solve", toml, "--max-size-mb", "0.02", "--json", *where)[1])
    assert solved["size_mb"] <= 0.02
    out = project.folder / "out"
    code, made, err = command(monkeypatch, capsys, "export", toml, "--out", out, "--pick", "spread:2", *where)
    assert code == 0, made + err
    manifest = json.loads((out / "manifest.json").read_text())
    assert len(manifest) == 2
    for entry in manifest:
        assert entry["proof"]["passed"] is True
        assert len(entry["proof"]["layers"]) == len(facts["layers"])
        assert entry["predicted_weight_bytes"] == entry["weight_bytes"]
        assert (entry["proof"]["execution"]["snr_db"] or 100) > 50  # none where nothing differs
        verified = verify(out / entry["path"], load_experiment(toml))
        assert verified.divergence == pytest.approx(entry["divergence"], rel=0.05, abs=1e-7)
    itself = json.loads(
        command(monkeypatch, capsys, "verify", project.folder / "odd.mlpackage", "--against", toml, "--json")[1]
    )
    assert itself["divergence"] < 1e-10


def old_format(path):
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    builder = NeuralNetworkBuilder([("x", datatypes.Array(4))], [("y", datatypes.Array(4))])
    builder.add_activation("relu", "RELU", "x", "y")
    ct.models.MLModel(builder.spec, skip_model_load=True).save(str(path.with_suffix(".mlmodel")))
    return path.with_suffix(".mlmodel").name


def truncated(path):
    weights = everything(path) / "Data/com.apple.CoreML/weights/weight.bin"
    weights.write_bytes(weights.read_bytes()[:-2000])


def altered(path):
    weights = everything(path) / "Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(weights.read_bytes())
    data[64:68] = b"\0\0\0\0"
    weights.write_bytes(data)


def without_weights(path):
    (everything(path) / "Data/com.apple.CoreML/weights/weight.bin").unlink()


def two_functions(path):
    both = ct.utils.MultiFunctionDescriptor()
    for name in ("one", "two"):
        both.add_function(str(dense(path.with_name(f"{name}.mlpackage"))), "main", name)
    both.default_function_name = "one"
    ct.utils.save_multifunction(both, str(path))


def no_package(path):
    path.mkdir()
    (path / "weights.bin").write_bytes(b"nothing")


BAD_PACKAGES = {
    "missing": (lambda path: None, ["odd.mlpackage: no such package"]),
    "older format": (old_format, ["neuralNetwork", 'convert_to="mlprogram"']),
    "truncated weights": (truncated, ["weight.bin: truncated at"]),
    "altered weights": (altered, ["weight.bin: altered", "should"]),
    "no weights": (without_weights, ["weight.bin: missing"]),
    "two functions": (two_functions, ["has the functions one, two", "save_multifunction"]),
    "no package": (no_package, ["not a readable Core ML package"]),
    "newer than the target": (lambda path: everything(path, target=ct.target.iOS18, compressed=False) and None, ["needs iOS18", 'deployment_target = "iOS18"']),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PACKAGES)
def test_a_bad_package_is_refused(monkeypatch, capsys, project, case):
    make, words = BAD_PACKAGES[case]
    project.write(EXPERIMENT, WORKLOAD)
    name = make(project.folder / "odd.mlpackage")
    if name:
        project.write(EXPERIMENT, WORKLOAD.replace("odd.mlpackage", name))
    code, _, err = command(monkeypatch, capsys, "inspect", project.experiment)
    assert code == 2, err
    for word in words:
        assert word in err.replace("\n", " ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("count, 16, 32", "count, 16, 31", ["example_inputs()", "input 'x' has shape (1, 16, 31); (1, 16, 32) is"]),
        ("return (_sequences(0, 1),)", "return (_sequences(0, 1),) * 2", ["takes 1 inputs (x), 2 were given"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused(monkeypatch, capsys, package_project, old, new, words):
    package_project.write(EXPERIMENT, WORKLOAD.replace(old, new))
    code, _, err = command(monkeypatch, capsys, "inspect", package_project.experiment)
    assert code == 2
    for word in words:
        assert word in err


def test_a_package_of_another_model_is_no_match(monkeypatch, capsys, package_project):
    other = dense(package_project.folder / "dense.mlpackage")
    code, _, err = command(monkeypatch, capsys, "verify", other, "--against", package_project.experiment)
    assert code == 2
    assert "input 'x' has shape (3, 16, 32); (1, 8) is expected" in err


def test_the_identity_of_a_search_follows_all_of_the_package(package_project):
    from palettune.search.preparation.preparation import prepare

    before = prepare(load_experiment(package_project.experiment)).identity()["model_weights"]
    weights = package_project.folder / "odd.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(weights.read_bytes())
    data[-2] ^= 1  # one bit of the last constant, which is no layer's
    weights.write_bytes(data)
    assert prepare(load_experiment(package_project.experiment)).identity()["model_weights"] != before
