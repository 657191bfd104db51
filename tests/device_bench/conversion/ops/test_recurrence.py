"""Short and long recurrences are the same computation."""

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from palettune.device_bench.conversion.ops import recurrence as module
from palettune.device_bench.conversion.ops.recurrence import product, recurrence
from palettune.device_bench.runtime import load


def run(length, folder, x):
    @mb.program(input_specs=[mb.TensorSpec(shape=(length, 2, 3))], opset_version=ct.target.iOS17)
    def program(x):
        zeros = np.zeros((2, 3), np.float32)
        states = (mb.const(val=zeros), mb.const(val=zeros))

        def step(one, before):
            total, last = before
            return mb.add(x=mb.mul(x=total, y=np.float32(0.5)), y=mb.sub(x=one, y=last)), one

        outputs, (total, last) = recurrence(x, states, step)
        return mb.identity(x=outputs, name="outputs"), mb.identity(x=total, name="total"), mb.identity(x=last, name="z")

    path = folder / f"{length}.mlpackage"
    options = {"compute_precision": ct.precision.FLOAT32, "minimum_deployment_target": ct.target.iOS17}
    ct.convert(program, convert_to="mlprogram", skip_model_load=True, **options).save(str(path))
    return load(path).run({"x": x}), set(load(path).op_types.values())


@pytest.mark.parametrize("length", [1, 3, 6])
def test_a_loop_gives_what_steps_written_out_give(length, tmp_path, monkeypatch):
    x = np.random.default_rng(length).normal(size=(length, 2, 3)).astype(np.float32)
    (tmp_path / "loop").mkdir()
    written, kinds = run(length, tmp_path, x)
    monkeypatch.setattr(module, "UNROLLED", 0)
    looped, others = run(length, tmp_path / "loop", x)
    assert "while_loop" not in kinds
    assert "while_loop" in others
    total, last = np.zeros((2, 3)), np.zeros((2, 3))
    for index in range(length):
        total, last = 0.5 * total + x[index] - last, x[index]
        np.testing.assert_allclose(written["outputs"][index], total, atol=1e-5)
    for name in ("outputs", "total", "z"):
        np.testing.assert_allclose(looped[name], written[name], atol=1e-6)
    np.testing.assert_allclose(written["z"], last)


def test_a_product_with_what_is_computed_is_a_matmul():
    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 3)), mb.TensorSpec(shape=(4, 3))])
    def program(x, w):
        return product(x, w, mb.const(val=np.ones(4, np.float32)))

    assert {"matmul", "add"} <= {op.op_type for op in program.functions["main"].operations}
