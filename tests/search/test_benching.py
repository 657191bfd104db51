"""``palettune bench`` at its border: what is predicted, and what is refused."""

import json
import platform
import sys
from dataclasses import replace

import coremltools as ct
import pytest
import torch
from torch import nn

import device_bench.cost.latency_model as latency_model
from device_bench.conversion import convert
from device_bench.device import find_device
from search.cli import main
from space.target import DeploymentTarget


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "fixed.mlpackage"
    network = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3)).eval()
    convert(network, (torch.zeros(1, 3, 64, 64),), DeploymentTarget("iOS18")).save(str(path))
    return path


@pytest.fixture(scope="module")
def flexible(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "flexible.mlpackage"
    program = torch.jit.trace(nn.Linear(512, 512).eval(), torch.zeros(1, 8, 512))
    shape = ct.Shape((1, ct.RangeDim(1, 64, default=8), 512))
    ct.convert(
        program, inputs=[ct.TensorType("x", shape)], minimum_deployment_target=ct.target.iOS17, convert_to="mlprogram"
    ).save(str(path))
    return path


def bench(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["palettune", "bench", *map(str, words)])
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return ending.value.code, captured.out, captured.err


def test_one_compute_unit_is_shown_where_one_is_asked_for(monkeypatch, capsys, fixed):
    code, out, _ = bench(monkeypatch, capsys, fixed, "--device", "M2", "--unit", "cpu_only", "--json")
    assert code == 0
    assert [row["compute_unit"] for row in json.loads(out)] == ["CPU_ONLY"]


def test_a_flexible_package_is_predicted_for_the_shape_that_is_stated(monkeypatch, capsys, flexible):
    code, _, err = bench(monkeypatch, capsys, flexible, "--device", "M2")
    assert code == 2
    assert "state the shape" in err
    found = {}
    for length in (1, 64):
        words = (flexible, "--device", "M2", "--unit", "CPU_AND_NE", "--json", "--shape", f"x=1x{length}x512")
        code, out, _ = bench(monkeypatch, capsys, *words)
        assert code == 0
        found[length] = json.loads(out)[0]["predicted_latency_ms"]
    assert found[1] < found[64]
    for shape, said in (("x=1x65x512", "do not fit"), ("y=1x8x512", "'y'"), ("x=one", "expected NAME=1x3x224x224")):
        code, _, err = bench(monkeypatch, capsys, flexible, "--device", "M2", "--shape", shape)
        assert code == 2
        assert said in err


def test_what_cannot_be_predicted_is_refused_with_what_to_do(monkeypatch, capsys, fixed, tmp_path):
    builder = ct.models.neural_network.NeuralNetworkBuilder([("x", ct.models.datatypes.Array(3))], [("y", None)])
    builder.add_activation("relu", "RELU", "x", "y")
    old = tmp_path / "old.mlpackage"
    ct.models.MLModel(builder.spec, skip_model_load=True).save(str(old))
    cases = [
        ((fixed, "--device", "iPhone 15 Por"), "did you mean 'iPhone 15 Pro'"),
        ((fixed, "--device", "M2", "--unit", "NPU"), "compute unit 'NPU' is not known"),
        ((fixed,), "--device: say for which device"),
        ((old, "--device", "M2"), "holds a neuralNetwork, an mlProgram is needed"),
        ((tmp_path / "nothing.mlpackage", "--device", "M2"), "no such package"),
    ]
    if platform.system() != "Darwin":
        cases.append(((fixed, "--measure"), "latency is measured on a Mac"))
    for words, said in cases:
        code, _, err = bench(monkeypatch, capsys, *words)
        assert code == 2
        assert said in err


def test_a_compute_unit_that_the_device_lacks_is_refused_or_left_out(monkeypatch, capsys, fixed):
    def without(name):
        device = find_device(name)
        return replace(device, chip=replace(device.chip, lacks=("neural_engine",)))

    monkeypatch.setattr(latency_model, "find_device", without)
    code, _, err = bench(monkeypatch, capsys, fixed, "--device", "M2", "--unit", "CPU_AND_NE")
    assert code == 2
    assert "the device has no neural engine" in err
    code, out, _ = bench(monkeypatch, capsys, fixed, "--device", "M2", "--json")
    assert code == 0
    assert [row["compute_unit"] for row in json.loads(out)] == ["ALL", "CPU_AND_GPU", "CPU_ONLY"]
