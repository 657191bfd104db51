"""Private names of torch and coremltools: each test fails when its name is gone, or no longer does what is needed."""

from types import SimpleNamespace

import numpy as np
import torch
from coremltools.optimize.torch.layerwise_compression.algorithms import (
    GPTQ,
    ModuleGPTQConfig,
    ModuleSparseGPTConfig,
    SparseGPT,
)
from coremltools.optimize.torch.quantization import PostTrainingQuantizer
from torch import nn
from torch.nn.utils import prune, spectral_norm, weight_norm
from torch.utils._python_dispatch import TorchDispatchMode

from palettune.device_bench.library_internals import buffer_slots, pre_hooks
from palettune.evaluators import library_internals as internals


def test_a_modules_own_parameters_buffers_and_children_can_be_replaced():
    module = nn.Sequential(nn.Linear(2, 2))
    module.register_buffer("seen", torch.zeros(1))
    weight = nn.Parameter(torch.ones(2, 2))
    internals.own_parameters(module[0])["weight"] = weight
    assert module[0].weight is weight
    assert internals.own_parameters(module) == {}
    buffer_slots(module).pop("seen")
    assert not hasattr(module, "seen")
    internals.own_modules(module)["0"] = nn.Identity()
    assert isinstance(module[0], nn.Identity)


def test_hooks_can_be_removed_and_name_their_tensor():
    pruned = prune.l1_unstructured(nn.Linear(4, 4), "weight", 0.5)
    normalized = weight_norm(nn.Linear(4, 4), "weight")
    for module in (pruned, normalized):
        (hook,) = pre_hooks(module).values()
        assert internals.hooked_tensor_name(hook) == "weight"
        pre_hooks(module).clear()
        module.weight = None
        assert module.weight is None  # a hook would compute it again
    assert internals.hooked_tensor_name(print) is None


def test_hooks_of_the_state_dict_are_those_of_spectral_normalization():
    saving, loading = internals.state_hooks(spectral_norm(nn.Linear(4, 4)))
    assert len(saving) == len(loading) == 1
    assert internals.state_hooks(nn.Linear(4, 4)) == ({}, {})


def test_quantized_modules_are_told_from_float_ones():
    model = nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2))
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.GRU})
    assert [internals.holds_packed_weights(module) for module in quantized] == [True, True]
    assert [internals.holds_packed_weights(module) for module in model] == [False, False]


def test_arguments_of_ops_have_names_and_types():
    found = internals.argument_types("aten::zeros.default")
    assert found[0] == ("size", "List[int]", False)
    assert found[1] == ("dtype", "Optional[ScalarType]", True)
    assert internals.argument_types("aten::relu") == [("self", "Tensor", False)]
    assert internals.argument_types("aten::no_such_op") is None


def test_structures_are_made_again():
    spec = torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)).call_spec.out_spec
    assert internals.tree_unflatten([3], spec) == 3


def test_writing_in_place_is_counted():
    tensor = torch.zeros(2)
    before = internals.write_count(tensor)
    tensor.add_(1)
    assert internals.write_count(tensor) == before + 1
    with torch.inference_mode():
        assert internals.write_count(torch.zeros(2)) == 0


def test_a_recurrent_module_uses_a_replaced_parameter():
    module = nn.GRU(3, 3)
    inputs = torch.ones(1, 1, 3)
    own = internals.own_parameters(module)
    for name in list(own):
        own[name] = nn.Parameter(torch.zeros_like(own[name]))
    internals.rebuild_flat_weights(module)
    assert torch.equal(module(inputs)[0], torch.zeros(1, 1, 3))


def test_base_classes_are_those_of_every_dimension():
    assert issubclass(nn.BatchNorm1d, internals.BATCH_NORM)
    assert issubclass(nn.SyncBatchNorm, internals.BATCH_NORM)
    assert issubclass(nn.Conv3d, internals.CONVOLUTION)
    assert issubclass(nn.ConvTranspose1d, internals.CONVOLUTION)
    assert not issubclass(nn.Linear, internals.CONVOLUTION)


def test_padding_is_given_as_pad_takes_it():
    assert internals.reversed_padding(nn.Conv2d(1, 1, 3, padding=(1, 2))) == [2, 2, 1, 1]
    assert internals.reversed_padding(nn.Conv1d(1, 1, (4,), padding="same")) == [1, 2]


def test_wrapped_tensors_are_told_from_plain_ones():
    from torch.testing._internal.two_tensor import TwoTensor

    assert internals.is_traceable_wrapper_subclass(TwoTensor(torch.zeros(1), torch.zeros(1)))
    assert not internals.is_traceable_wrapper_subclass(nn.Parameter(torch.zeros(1)))


def test_nested_outputs_are_mapped_and_listed():
    nested = {"a": [torch.ones(1), 2], "b": (torch.zeros(1),)}
    doubled = internals.tree_map(lambda value: value * 2, nested)
    assert doubled["a"][0] == 2
    assert doubled["a"][1] == 4
    assert len(internals.tree_leaves(nested)) == 3


def test_what_coremltools_writes_of_a_weight_is_read():
    module = nn.Sequential(nn.Linear(8, 4, bias=False))
    PostTrainingQuantizer(module).compress(inplace=True)
    assert internals.coremltools_buffer(module[0], "quantization_scale").shape == (4, 1)
    assert internals.coremltools_buffer(nn.Linear(1, 1), "quantization_scale") is None


def test_numbers_are_clustered_with_the_least_error():
    points, weights = np.array([0.0, 1.0, 10.0, 12.0]), np.array([1.0, 1.0, 3.0, 1.0])
    found = internals.cluster_scalars_exactly(points, 2, weights)
    assert list(found.clusters) == [0, 0, 1, 1]
    assert np.allclose(found.centroids, [0.5, 10.5])


def test_both_algorithms_of_the_clustering_are_replaced():
    called = []

    class Counting(internals.ReplaceableKMeans):
        @classmethod
        def cluster_scalars(cls, weight, importance, config):
            called.append("scalars")
            return torch.arange(2.0**config.n_bits), torch.zeros(weight.numel(), dtype=torch.int32)

        @classmethod
        def cluster_rows(cls, weight, importance, config):
            called.append("rows")
            count = weight.numel() // config.cluster_dim
            return torch.zeros(2**config.n_bits, config.cluster_dim), torch.zeros(count, dtype=torch.int32)

    importance = torch.ones(8, 8)
    scalars = internals.KMeansConfig(n_bits=2, axis=0, block_size=8, importance=importance)
    vectors = internals.KMeansConfig(n_bits=2, axis=0, block_size=8, cluster_dim=2)
    for config in (scalars, vectors):
        Counting.cluster_weights(nn.Sequential(nn.Linear(8, 8)), {"0": {"weight": config}})
    assert called == ["scalars", "rows"]


def test_gptq_and_sparse_gpt_run_on_given_statistics():
    gram = torch.diag(torch.tensor([1.0, 1.0, 1.0, 100.0]))
    for algorithm, config, quantizer in (
        (SparseGPT, ModuleSparseGPTConfig(target_sparsity=0.4, weight_dtype="float32"), None),
        (GPTQ, ModuleGPTQConfig(weight_dtype="uint8", granularity="per_channel"), _Halves()),
    ):
        layer = nn.Linear(4, 2, bias=False)
        layer.weight.data = torch.tensor([[0.9, 0.6, 0.4, 0.1]]).repeat(2, 1)
        internals.run_layerwise(algorithm(layer, config), gram, quantizer)
        if algorithm is SparseGPT:  # the last column of the weight is small, and its input large
            assert torch.equal(layer.weight.ne(0), torch.tensor([[True, False, False, True]] * 2))
        else:
            assert torch.equal(layer.weight, (layer.weight * 2).round() / 2)


class _Halves(SimpleNamespace):
    scale, zero_point, max_q = torch.full((2, 1), 0.5), torch.zeros(2, 1), torch.tensor(255)

    def ready(self):
        return True


def test_a_mode_is_handed_every_op_and_copies_keep_their_elements():
    seen = []

    class Mode(internals.OpMode):
        def run(self, op, arguments, named):
            seen.append(op)
            result = op(*arguments, **named)
            if op in internals.copying_ops():
                assert torch.equal(result, arguments[0])
            return result

    values = torch.randn(3, 3)
    with torch.inference_mode(), Mode():
        nn.functional.linear(values, values.t().clone())
        torch.ops.aten.to.dtype.decompose(values, torch.double)
    assert seen.count(torch.ops.aten.linear.default) == 1
    assert internals.copying_ops() & set(seen) == internals.copying_ops()


def test_a_mode_is_not_wrapped_in_what_imports_the_compiler():
    assert hasattr(
        type("Plain", (TorchDispatchMode,), {"__torch_dispatch__": lambda *_: None}).__torch_dispatch__, "__wrapped__"
    )
    assert not hasattr(internals.OpMode.__torch_dispatch__, "__wrapped__")
