"""Several samples through a program that was converted for one."""

import coremltools as ct
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.runtime import ProgramError, load
from tests.device_bench.runtime.support import packages


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return packages.dense(tmp_path_factory.mktemp("dense") / "dense.mlpackage")


@pytest.mark.parametrize("vectorize", [True, False])
def test_every_sample_of_a_batch_is_computed_on_its_own(dense, vectorize):
    program, x = load(dense), torch.randn(4, 8)
    (together,) = program.run({"x": x}, vectorize=vectorize).values()
    assert together.shape == (4, 16)
    for row in range(4):
        assert torch.allclose(together[row : row + 1], program.run({"x": x[row : row + 1]})["y"], atol=1e-6)


@pytest.mark.parametrize("vectorize", [True, False])
def test_a_batch_keeps_samples_apart_where_the_program_mixes_rows(vectorize, tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        whole = mb.reshape(x=x, shape=[1, 2, 2])
        return mb.sub(x=whole, y=mb.reduce_mean(x=whole, axes=[0, 1, 2], keep_dims=True), name="y")

    path = packages.save(program, tmp_path / "mix.mlpackage", ct.target.iOS17)
    x = torch.randn(3, 4)
    (y,) = load(path).run({"x": x}, vectorize=vectorize).values()
    assert torch.allclose(y.reshape(3, 4), x - x.mean(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("vectorize", [True, False])
def test_an_output_without_a_row_dimension_is_refused_for_batches(vectorize, tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        return mb.reshape(x=x, shape=[2, 2], name="y")

    path = packages.save(program, tmp_path / "square.mlpackage", ct.target.iOS17)
    assert load(path).run({"x": torch.randn(1, 4)})["y"].shape == (2, 2)
    with pytest.raises(ProgramError, match="one at a time"):
        load(path).run({"x": torch.randn(3, 4)}, vectorize=vectorize)


def test_a_batch_whose_samples_take_different_courses(tmp_path):
    program = load(packages.halving(tmp_path / "loop.mlpackage"))
    x = torch.tensor([[4.0, 2, 2], [0.5, 0.4, 0.05]])
    with pytest.raises(ProgramError, match="'count' has shape"):
        program.run({"x": x}, vectorize=True)
