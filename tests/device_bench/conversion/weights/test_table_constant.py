"""Tables of two entries as constants."""

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.weights.table_constant import table_constant


@pytest.mark.parametrize(("target", "bytes_a_value"), [(ct.target.iOS16, 1 / 8), (ct.target.iOS18, 1)])
def test_a_table_is_no_constant_that_a_pass_could_fold_and_takes_little_memory(target, bytes_a_value):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 48))], opset_version=target)
    def program(x):
        table = table_constant((16, 48), np.array([-2, 2], np.float32), "weight", None)
        assert table.shape == (16, 48)
        assert table.val is None
        assert table.op.indices.val.nbytes == 16 * 48 * bytes_a_value
        return mb.linear(x=x, weight=table)

    assert "constexpr_lut_to_dense" in [op.op_type for op in program.functions["main"].operations]
