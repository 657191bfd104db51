"""Each private name of coremltools and torch that the room uses: there, and with the behaviour that is relied on."""

import inspect

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Program
from torch import Tensor, nn

from palettune.device_bench import library_internals as internals


def test_every_name_is_tested_here():
    source = inspect.getsource(inspect.getmodule(test_every_name_is_tested_here))
    assert [name for name in internals.__all__ if f"internals.{name}" not in source] == []


@pytest.fixture
def converted():
    linear = nn.Linear(16, 16).eval()
    exported = torch.export.export(linear, (torch.ones(1, 16),), strict=False).run_decompositions({})
    return ct.convert(exported, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)


def add_one(target=ct.target.iOS18):
    @mb.program(input_specs=[mb.TensorSpec(shape=(2,))], opset_version=target)
    def program(x):
        return mb.add(x=x, y=np.float32(1), name="sum")

    return program


def test_buffers_and_hooks_are_the_modules_own():
    module = nn.Linear(2, 2)
    module.register_buffer("none", None)
    internals.buffer_slots(module)["one"] = torch.ones(1)
    assert set(internals.buffer_slots(module)) == {"none", "one"}
    assert module.get_buffer("one") == 1
    before = module.register_forward_pre_hook(lambda *_: None)
    after = module.register_forward_hook(lambda *_: torch.zeros(1))
    assert list(internals.pre_hooks(module)) == [before.id]
    del internals.post_hooks(module)[after.id]
    assert module(torch.ones(1, 2)).shape == (1, 2)


def test_quantized_operations_are_registered():
    internals.register_quantized_ops()
    integers = torch.ops.quantized_decomposed.quantize_per_tensor(torch.tensor([1.0]), 0.5, 0, -128, 127, torch.int8)
    assert integers.tolist() == [2]


def test_dispatch_modes_see_every_op():
    seen = []

    class Names(internals.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with Names():
        torch.ones(1) + 1
    assert "aten.add.Tensor" in seen


def test_fake_tensors_have_shapes_and_no_values():
    with internals.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        product = mode.from_tensor(torch.ones(2, 3)) @ torch.ones(3, 4)
    assert product.shape == (2, 4)
    assert type(product).__name__ == "FakeTensor"


def test_the_tracer_warns_of_what_it_freezes():
    def branch(x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x

    with pytest.warns(internals.TracerWarning, match="Converting a tensor to a Python boolean"):
        torch.jit.trace(branch, (torch.ones(1),), check_trace=False)


def test_registered_structures_are_flattened_and_made_again():
    assert internals.tree_leaves({"a": [1, (2,)]}) == [1, 2]
    node = internals.SUPPORTED_NODES[dict]
    children, context = node.flatten_fn({"a": 1})
    assert node.unflatten_fn(children, context) == {"a": 1}


def test_converted_models_hold_their_program(converted, tmp_path):
    program = internals.mil_program(converted)
    assert isinstance(program, Program)
    internals.drop_debug_scopes(program)
    converted.save(str(tmp_path / "model.mlpackage"))
    assert not list(tmp_path.rglob("*debug*"))
    assert internals.mil_program(ct.models.MLModel(str(tmp_path / "model.mlpackage"), skip_model_load=True)) is None


def test_ops_say_where_they_come_from(converted):
    sources = internals.ScopeSource
    scopes = [op.scopes for op in internals.mil_program(converted).functions["main"].operations]
    assert any(sources.EXIR_STACK_TRACE in found for found in scopes)
    assert {sources.TORCHSCRIPT_MODULE_NAME, sources.EXIR_DEBUG_HANDLE} <= set(sources)


def test_scopes_are_copied_within_a_pass():
    found = []

    @internals.register_pass(namespace="palettune_tests", override=True)
    class copy_last_scope(internals.AbstractGraphPass):
        def apply(self, prog):
            function = prog.functions["main"]
            (output,) = function.outputs
            with function:
                copied = mb.identity(x=output)
                internals.copy_scope(function, output, copied)
            found.append((output.op.scopes, copied.op.scopes))
            function.set_outputs([copied])

    traced = torch.jit.trace(nn.Linear(2, 2).eval(), (torch.ones(1, 2),))
    with internals.front_end_pass("palettune_tests::copy_last_scope"):
        ct.convert(traced, inputs=[ct.TensorType(shape=(1, 2))], skip_model_load=True)
    ((scopes, copied),) = found
    source = internals.ScopeSource.TORCHSCRIPT_MODULE_TYPE
    assert scopes[source]
    assert copied[source] == scopes[source]


def test_validation_is_skipped_and_comes_back():
    program = add_one()
    with internals.without_validation():
        program.functions["main"].validate = lambda **_: pytest.fail("was validated")
        program.validate()
    called = []
    program.functions["main"].validate = lambda **_: called.append(1)
    program.validate()
    assert called


def test_a_pass_of_ours_runs_ahead_of_the_front_ends():
    seen = []

    @internals.register_pass(namespace="palettune_tests", override=True)
    class record_ops(internals.AbstractGraphPass):
        def apply(self, prog):
            seen.append([op.op_type for op in prog.functions["main"].operations])

    traced = torch.jit.trace(nn.Linear(2, 2).eval(), (torch.ones(1, 2),))
    inputs = [ct.TensorType(shape=(1, 2))]
    with internals.front_end_pass("palettune_tests::record_ops"):
        ct.convert(traced, inputs=inputs, skip_model_load=True)
    ct.convert(traced, inputs=inputs, skip_model_load=True)
    assert len(seen) == 1
    assert "linear" in seen[0]


def test_opsets_are_compared():
    found = []
    for target in (ct.target.iOS16, ct.target.iOS18):

        @mb.program(input_specs=[mb.TensorSpec(shape=(2,))], opset_version=target)
        def program(x):
            found.append(internals.opset_has(ct.target.iOS18))
            return mb.identity(x=x)

    assert found == [False, True]


def test_traced_nodes_are_changed_as_they_are_read():
    seen = []
    traced = torch.jit.trace(nn.Sequential(nn.Linear(2, 2)).eval(), (torch.ones(1, 2),))
    with internals.traced_nodes_changed(lambda node, made: seen.append((node.scopeName(), made.model_hierarchy))):
        ct.convert(traced, inputs=[ct.TensorType(shape=(1, 2))], skip_model_load=True)
    assert any(name.endswith("__module.0") for name, _ in seen)
    assert any("Linear" in hierarchy for _, hierarchy in seen)


def test_the_op_set_is_known():
    assert {"conv", "linear", "constexpr_lut_to_dense"} <= set(internals.known_ops())


def test_constants_are_read(converted):
    function = converted.get_spec().mlProgram.functions["main"]
    values = [v for op in function.block_specializations[function.opset].operations for v in op.attributes.values()]
    small = next(value for value in values if value.WhichOneof("value") == "immediateValue")
    assert internals.read_constant(internals.TranscriptionContext(""), small) is not None
    with pytest.raises(TypeError):
        internals.read_constant(internals.TranscriptionContext(""), "no value")


def test_small_constants_stay_out_of_the_weight_file():
    assert not internals.should_use_weight_file(np.zeros(9, np.float16))
    assert internals.should_use_weight_file(np.zeros(10, np.float16))


def test_programs_are_read_and_written(converted, tmp_path):
    converted.save(str(tmp_path / "model.mlpackage"))
    weights = tmp_path / "model.mlpackage/Data/com.apple.CoreML/weights"
    spec = ct.utils.load_spec(str(tmp_path / "model.mlpackage"))
    program = internals.load_mil_program(spec, spec.specificationVersion, weights)
    assert "linear" in [op.op_type for op in program.functions["main"].operations]
    pipeline = ct.PassPipeline()
    pipeline.passes = []
    written = internals.write_mil_program(program, spec.specificationVersion, spec.description, pipeline)
    assert written.get_spec().description == spec.description


def test_weights_are_encoded_by_their_metadata():
    module = nn.Linear(4, 4)
    prefix = internals.STATE_DICT_METADATA_BUFFER_PREFIX
    module.register_buffer(internals.METADATA_VERSION_BUFFER, internals.METADATA_VERSION.clone())
    module.register_buffer(f"{prefix}/weight/compression_type", torch.tensor([3]))
    module.register_buffer(f"{prefix}/weight/quantization_n_bits", torch.tensor(8))
    module.register_buffer(f"{prefix}/weight/quantization_scale", torch.ones(4, 1))
    encoder = internals.WeightEncoder(module.state_dict())
    assert encoder.is_compressed("weight")
    assert not encoder.is_compressed("bias")

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS18)
    def program(x):
        made = encoder.variable(np.ones((4, 4), np.float32), "weight")
        assert made.op.op_type == "constexpr_blockwise_shift_scale"
        return mb.linear(x=x, weight=made)


def test_a_registered_pass_runs_on_a_program():
    @mb.program(input_specs=[mb.TensorSpec(shape=(2,))])
    def program(x):
        mb.relu(x=x)
        return mb.identity(x=x)

    internals.run_pass("common::dead_code_elimination", program)
    assert [op.op_type for op in program.functions["main"].operations] == ["identity"]


def test_symbolic_lengths_are_told_from_numbers():
    length = ct.RangeDim(1, 8).symbol
    assert internals.is_symbolic(length)
    assert not internals.is_symbolic(8)


class Bounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).cumsum(0, dtype=torch.int32) & torch.lgamma(x).int()


def test_ops_that_the_front_end_converts_are_told_from_others():
    program = torch.export.export(Bounded(), (torch.ones(2),), strict=False).run_decompositions({})
    found = {str(n.target): internals.is_convertible(n) for n in program.graph.nodes if n.op == "call_function"}
    assert found["aten.cumsum.default"]
    assert not found["aten.lgamma.default"]
    assert not found["aten.__and__.Tensor"]


def test_the_node_at_which_the_front_end_fails_is_kept_with_its_arguments():
    read = []

    @ct.converters.mil.register_torch_op(override=True)
    def lgamma(context, node):
        read.append((internals.front_end_inputs(context, node), internals.front_end_dtype(context, node, 1)))
        raise ValueError("not today")

    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.lgamma(x)

    program = torch.export.export(Failing(), (torch.ones(2),), strict=False).run_decompositions({})
    try:
        with internals.failing_node() as failed, pytest.raises(ValueError, match="not today"):
            ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    finally:
        internals._TORCH_OPS_REGISTRY.name_to_func_mapping.pop("lgamma")
    assert [(node.name, node.kind) for node in failed] == [("lgamma", "lgamma")]
    ((variables, dtype),) = read
    assert [variable.shape for variable in variables] == [(2,)]
    assert dtype is None


def test_conversions_are_found_by_the_kind_of_op():
    assert internals.torch_converter("lstm").__name__ == "lstm"
    with pytest.raises(KeyError):
        internals.torch_converter("no_such_op")


def test_the_type_that_an_op_is_asked_for_is_read():
    found = []
    before = internals._TORCH_OPS_REGISTRY.name_to_func_mapping["cumsum"]

    def noting(context, node):
        found.append(internals.front_end_dtype(context, node, 2))
        before(context, node)

    class Summed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(0, dtype=torch.int32)

    program = torch.export.export(Summed(), (torch.ones(2),), strict=False).run_decompositions({})
    internals._TORCH_OPS_REGISTRY.name_to_func_mapping["cumsum"] = noting
    try:
        ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    finally:
        internals._TORCH_OPS_REGISTRY.name_to_func_mapping["cumsum"] = before
    assert found == ["int32"]
