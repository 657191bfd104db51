import shutil

import coremltools as ct
import numpy as np
import pytest

from palettune.device_bench.runtime import ProgramError, UnsupportedOpError, load, registry
from tests.device_bench.runtime.support import packages

WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return packages.dense(tmp_path_factory.mktemp("whole") / "whole.mlpackage")


@pytest.fixture
def package(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy.mlpackage")
    return tmp_path / "copy.mlpackage"


def test_no_package(tmp_path):
    with pytest.raises(ProgramError, match="no such package"):
        load(tmp_path / "missing.mlpackage")
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(ProgramError, match="not a readable Core ML package"):
        load(tmp_path / "empty.mlpackage")


def test_an_older_neural_network_is_told_how_to_upgrade(tmp_path):
    builder = ct.models.neural_network.NeuralNetworkBuilder([("x", ct.models.datatypes.Array(3))], [("y", None)])
    builder.add_activation("relu", "RELU", "x", "y")
    path = tmp_path / "old.mlmodel"
    ct.utils.save_spec(builder.spec, str(path))
    with pytest.raises(ProgramError, match=r"holds a neuralNetwork, an older format.*convert_to=\"mlprogram\""):
        load(path)


@pytest.mark.parametrize("kept", [0, 40, 100, 300])
def test_a_truncated_weight_file(package, kept):
    content = (package / WEIGHTS).read_bytes()
    (package / WEIGHTS).write_bytes(content[:kept])
    with pytest.raises(ProgramError, match=rf"weight.bin: truncated at {kept} bytes; constant 'dense_weight_0'"):
        load(package)


def test_a_missing_weight_file(package):
    (package / WEIGHTS).unlink()
    with pytest.raises(ProgramError, match="missing, although constant 'dense_weight_0'"):
        load(package)


def test_a_weight_file_with_an_altered_entry(package):
    content = bytearray((package / WEIGHTS).read_bytes())
    start = content.index((0xDEADBEEF).to_bytes(4, "little"))
    moved = bytes(content[:start]) + b"\0\0" + bytes(content[start:])
    (package / WEIGHTS).write_bytes(moved)
    with pytest.raises(ProgramError, match="altered; no constant begins"):
        load(package)
    content[start + 8 : start + 16] = (64).to_bytes(8, "little")
    (package / WEIGHTS).write_bytes(bytes(content))
    with pytest.raises(ProgramError, match=r"altered; constant .* holds 64 bytes, its type needs"):
        load(package)


def test_an_op_without_a_kernel_is_named_with_its_place(package, monkeypatch):
    monkeypatch.delitem(registry._KERNELS, "relu")
    with pytest.raises(UnsupportedOpError, match=r"copy.mlpackage, function 'main', op 'y' of type 'relu'"):
        load(package)


def test_an_op_that_coremltools_does_not_know(package):
    model = package / "Data/com.apple.CoreML/model.mlmodel"
    spec = ct.utils.load_spec(str(package))
    spec.mlProgram.functions["main"].block_specializations["CoreML6"].operations[-1].type = "rolu"
    model.write_bytes(spec.SerializeToString())
    with pytest.raises(UnsupportedOpError, match=r"function 'main', op 'y'.*no op of type 'rolu'"):
        load(package)


def test_big_constants_of_every_kind_pass_the_checks(tmp_path):
    from coremltools.converters.mil.mil import Builder as mb

    table = np.arange(64, dtype=np.int32)

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 64))], opset_version=ct.target.iOS18)
    def program(x):
        mask = np.arange(64).reshape(1, 64) % 2 == 0
        picked = mb.gather(x=x, indices=table, axis=1)
        return mb.select(cond=mask, a=picked, b=np.full((1, 64), 2, np.float32), name="y")

    path = packages.save(program, tmp_path / "kinds.mlpackage")
    x = np.arange(64, dtype=np.float32)[None]
    np.testing.assert_array_equal(load(path).run({"x": x})["y"], np.where(np.arange(64) % 2 == 0, x, 2))
