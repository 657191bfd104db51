from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from palettune.device_bench.package.package import PackageWeight, StoredPart
from palettune.device_bench.package.program_graph import fingerprint, program_nodes


def _save(program, folder, name: str):
    path = folder / f"{name}.mlpackage"
    ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True).save(str(path))
    return path


def _program(*, fork: bool, scale: float = 2.0):
    @mb.program(input_specs=[mb.TensorSpec((1, 20))], opset_version=ct.target.iOS16)
    def program(x):
        weight = np.arange(80, dtype=np.float32).reshape(4, 20)
        y = mb.relu(x=x)
        if not fork:
            return mb.linear(x=y, weight=weight * scale)
        return mb.cond(
            pred=mb.greater(x=mb.reduce_sum(x=y, axes=[0, 1]), y=0.0),
            _true_fn=lambda: mb.linear(x=y, weight=weight),
            _false_fn=lambda: mb.linear(x=y, weight=weight * scale),
        )

    return program


def _content(nodes):
    return [
        (
            node.kind,
            {name: [fingerprint(value) for value in values] for name, values in node.operands.items()},
            node.types,
        )
        for node in nodes
    ]


def test_a_program_is_its_ops_and_what_their_operands_are(tmp_path):
    nodes = program_nodes(_save(_program(fork=False), tmp_path, "a"))
    kinds = [node.kind for node in nodes]
    assert (kinds[0], kinds[-1]) == ("function", "return")
    linear = nodes[kinds.index("linear")]
    assert linear.operands["x"] == (f"output 0 of op {kinds.index('relu')}",)
    assert fingerprint(linear.operands["weight"][0]).startswith("const(fp16[4, 20] ")


@pytest.mark.slow
def test_equal_programs_have_equal_content_and_others_do_not(tmp_path):
    same = [_content(program_nodes(_save(_program(fork=True), tmp_path, name))) for name in "ab"]
    other = _content(program_nodes(_save(_program(fork=True, scale=3.0), tmp_path, "c")))
    assert same[0] == same[1]
    assert [kind for kind, *_ in other] == [kind for kind, *_ in same[0]]
    assert other != same[0]


@given(arrays.arrays(np.float16, (2, 3)), arrays.arrays(np.float16, (2, 3)), st.sampled_from([(2, 3), (3, 2), (6,)]))
def test_fingerprints_are_equal_when_content_type_and_shape_are(first, second, shape):
    def constant(value, dtype="fp16"):
        return PackageWeight("any name", "main", "const", {"val": StoredPart(value, dtype)})

    assert (fingerprint(constant(first)) == fingerprint(constant(second))) == (first.tobytes() == second.tobytes())
    assert (fingerprint(constant(first)) == fingerprint(constant(first.reshape(shape)))) == (shape == (2, 3))
    assert fingerprint(constant(first)) != fingerprint(constant(first.view(np.int16), "int16"))
