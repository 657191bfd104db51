"""Small packages built op by op, saved for the tests to open."""

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types


def save(program, path, target=ct.target.iOS18, **options):
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        **options,
    )
    model.save(str(path))
    return path


def dense(path, seed=0, **options):
    """``relu(x @ weight.T + bias)`` of [1, 8] with a weight big enough for the weight file."""
    generator = np.random.default_rng(seed)
    weight = generator.standard_normal((16, 8)).astype(np.float32)
    bias = generator.standard_normal(16).astype(np.float32)

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 8))], opset_version=ct.target.iOS16)
    def program(x):
        return mb.relu(x=mb.linear(x=x, weight=weight, bias=bias, name="dense"), name="y")

    return save(program, path, ct.target.iOS16, **options)


def counter(path):
    """A state that sums what it is given."""

    @mb.program(
        input_specs=[mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def program(x, total):
        before = mb.read_state(input=total)
        after = mb.add(x=before, y=x)
        mb.coreml_update_state(state=total, value=after)
        return mb.mul(x=after, y=np.float16(2), name="twice")

    return save(program, path)


def halving(path):
    """Halves ``x`` until its sum is below 1, and counts; then picks a branch by the count."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3))], opset_version=ct.target.iOS17)
    def program(x):
        def big(count, value):
            return mb.greater_equal(x=mb.reduce_sum(x=value, axes=[0, 1], keep_dims=False), y=1.0)

        def halve(count, value):
            return mb.add(x=count, y=1.0), mb.mul(x=value, y=0.5)

        count, value = mb.while_loop(_cond=big, _body=halve, loop_vars=(0.0, x))
        picked = mb.cond(
            pred=mb.greater(x=count, y=2.0),
            _true_fn=lambda: mb.mul(x=value, y=-1.0),
            _false_fn=lambda: mb.add(x=value, y=100.0),
        )
        return mb.identity(x=picked, name="picked"), mb.identity(x=count, name="count")

    return save(program, path, ct.target.iOS17)
