"""Private names of torch and coremltools that the evaluators need.

All uses of private names in this room are here, with the version in which they were tested;
``tests/evaluators/test_library_internals.py`` fails if a name is missing or behaves differently. Names passed on as they
are:

=================================  =============================================  ===============
name                               from                                           tested with
=================================  =============================================  ===============
``KMeansConfig``                   ``coremltools.optimize.torch._utils.k_means``  coremltools 9.0
``is_traceable_wrapper_subclass``  ``torch.utils._python_dispatch``               torch 2.13.0
``tree_leaves``, ``tree_map``,     ``torch.utils._pytree``                        torch 2.13.0
``tree_unflatten``
=================================  =============================================  ===============
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import numpy as np
import torch
from coremltools._deps import _kmeans1d
from coremltools.optimize.torch._utils.k_means import KMeansConfig, SequentialKMeans
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves, tree_map, tree_unflatten

from palettune.device_bench.library_internals import buffer_slots

__all__ = [
    "BATCH_NORM",
    "CONVOLUTION",
    "KMeansConfig",
    "OpMode",
    "ReplaceableKMeans",
    "argument_types",
    "cluster_scalars_exactly",
    "copying_ops",
    "coremltools_buffer",
    "holds_packed_weights",
    "hooked_tensor_name",
    "is_traceable_wrapper_subclass",
    "own_modules",
    "own_parameters",
    "rebuild_flat_weights",
    "reversed_padding",
    "run_layerwise",
    "state_hooks",
    "tree_leaves",
    "tree_map",
    "tree_unflatten",
    "write_count",
]

BATCH_NORM = nn.modules.batchnorm._BatchNorm
"""Base class of batch normalizations of all dimensions. torch 2.13.0."""
CONVOLUTION = nn.modules.conv._ConvNd
"""Base class of convolutions and transposed convolutions of all dimensions. torch 2.13.0."""
_METADATA = "_COREML_/weight/"


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """Return the live dictionary of the parameters that a module itself holds; writing to it changes the module.

    torch 2.13.0: ``nn.Module._parameters``.
    """
    return module._parameters


def own_modules(module: nn.Module) -> dict[str, nn.Module | None]:
    """Return the live dictionary of a module's children; writing to it changes the module.

    torch 2.13.0: ``nn.Module._modules``.
    """
    return module._modules


def state_hooks(module: nn.Module) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the live dictionaries of the hooks called after writing and before reading a ``state_dict``.

    torch 2.13.0: ``nn.Module._state_dict_hooks`` and ``_load_state_dict_pre_hooks``.
    """
    return module._state_dict_hooks, module._load_state_dict_pre_hooks


def hooked_tensor_name(hook: Any) -> str | None:
    """Return the name of the tensor that a hook of ``torch.nn.utils`` computes; ``None`` for any other hook.

    torch 2.13.0: ``_tensor_name`` of a pruning method; the others hold ``name``.
    """
    name = getattr(hook, "_tensor_name", getattr(hook, "name", None))
    return None if name is None else str(name)


def holds_packed_weights(module: nn.Module) -> bool:
    """Return whether a module is one of torch's quantized ones, which hold no float weight.

    torch 2.13.0: ``_packed_params`` and ``_all_weight_values`` of ``torch.ao.nn.quantized`` and its dynamic modules.
    """
    return hasattr(module, "_packed_params") or hasattr(module, "_all_weight_values")


def argument_types(name: str) -> list[tuple[str, str, bool]] | None:
    """Return name, type and whether it is given by name alone, of each argument of an op of torch; None for no such op.

    torch 2.13.0: ``OpOverload._schema``.

    Args:
        name: such as ``aten::add.Tensor``.
    """
    space, _, rest = name.partition("::")
    base, _, overload = rest.partition(".")
    try:
        schema = getattr(getattr(getattr(torch.ops, space), base), overload or "default")._schema
    except (AttributeError, RuntimeError):
        return None
    return [(one.name, str(one.real_type), bool(one.kwarg_only)) for one in schema.arguments]


def write_count(tensor: Tensor) -> int:
    """Return how often a tensor was written in place; 0 for an inference tensor, which does not count.

    torch 2.13.0: ``Tensor._version``.
    """
    return 0 if tensor.is_inference() else tensor._version


def rebuild_flat_weights(module: nn.RNNBase) -> None:
    """Let a recurrent module find its parameters again after one of them was replaced.

    torch 2.13.0: ``nn.RNNBase._init_flat_weights``.
    """
    module._init_flat_weights()


def copying_ops() -> frozenset[Any]:
    """Return the ops whose output has the elements of their first input, in new memory or another type.

    torch 2.13.0: ``aten._to_copy``, beside ``aten.clone``.
    """
    return frozenset({torch.ops.aten.clone.default, torch.ops.aten._to_copy.default})


class OpMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context in which every op that torch runs, scripted modules' included, is handed to ``run``.

    torch 2.13.0: ``torch.utils._python_dispatch.TorchDispatchMode``, and its ``_should_skip_dynamo``, without which the
    compiler is imported, which takes seconds.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    @abstractmethod
    def run(self, op: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run an op and return its result; ops that are run here are not handed over again.

        Args:
            op: an ``OpOverload``.
            arguments: its positional arguments.
            named: its other arguments.
        """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})


def reversed_padding(module: nn.Conv1d | nn.Conv2d) -> list[int]:
    """Return a convolution's padding as ``torch.nn.functional.pad`` takes it: last axis first, before and after.

    torch 2.13.0: ``_ConvNd._reversed_padding_repeated_twice``.
    """
    return list(module._reversed_padding_repeated_twice)


def coremltools_buffer(module: nn.Module, key: str) -> Tensor | None:
    """Return one of the buffers in which coremltools keeps how a module's weight is stored; ``None`` without it.

    coremltools 9.0: the prefix ``_COREML_/weight/`` of a buffer's name.
    """
    return buffer_slots(module).get(_METADATA + key)


class _Clusters(Protocol):
    clusters: list[int]
    centroids: list[float]


def cluster_scalars_exactly(points: NDArray[np.float64], count: int, weights: NDArray[np.float64]) -> _Clusters:
    """Cluster weighted numbers with the least squared error (Wu 1991), in O(count * N) after sorting.

    coremltools 9.0: ``coremltools._deps._kmeans1d``.

    Args:
        points: (N,).
        count: clusters, at most N.
        weights: (N,), positive.

    Returns:
        An object with ``clusters``, the label of each point, and ``centroids``, ascending.
    """
    found: _Clusters = _kmeans1d.cluster(points, count, weights=weights)
    return found


class ReplaceableKMeans(SequentialKMeans):  # type: ignore[misc]
    """coremltools' clustering of a module's weights, with both of its algorithms left to a subclass.

    coremltools 9.0: ``coremltools.optimize.torch._utils.k_means.SequentialKMeans``, of which ``_cluster_weights_1d``
    and ``_cluster_weights_2d`` are replaced.
    """

    @classmethod
    @abstractmethod
    def cluster_scalars(cls, weight: Tensor, importance: Tensor, config: KMeansConfig) -> tuple[Tensor, Tensor]:
        """Return the centres (at most 2^bits) and each element's label for one block of scalars."""

    @classmethod
    @abstractmethod
    def cluster_rows(cls, weight: Tensor, importance: Tensor | None, config: KMeansConfig) -> tuple[Tensor, Tensor]:
        """Return the centres (2^bits, vector length) and each vector's label for one block of vectors."""

    @classmethod
    def _cluster_weights_1d(cls, weight: Tensor, importance: Tensor, config: KMeansConfig) -> tuple[Tensor, Tensor]:
        return cls.cluster_scalars(weight, importance, config)

    @classmethod
    def _cluster_weights_2d(
        cls, weight: Tensor, importance: Tensor | None, config: KMeansConfig, rank: int
    ) -> tuple[Tensor, Tensor]:
        return cls.cluster_rows(weight, importance, config)


def run_layerwise(algorithm: Any, gram: Tensor, quantizer: Any = None) -> None:
    """Run coremltools' GPTQ or SparseGPT on statistics collected elsewhere; the algorithm's own layer is changed.

    coremltools 9.0: ``_hessian``, ``_layer``, ``_quantizer``, ``_inp1``, ``_out1`` and ``_compress_impl`` of ``GPTQ`` and
    ``SparseGPT``.

    Args:
        algorithm: ``GPTQ`` or ``SparseGPT``, made for a linear layer with a weight (R, K).
        gram: (K, K), the mean product of the layer's inputs with themselves.
        quantizer: takes the place of GPTQ's own.
    """
    rows, columns = algorithm._layer.weight.shape
    algorithm._hessian = 2 * gram
    if quantizer is not None:
        algorithm._quantizer = quantizer
    algorithm._inp1, algorithm._out1 = (torch.zeros(1, size, device=gram.device) for size in (columns, rows))
    with torch.no_grad():
        algorithm._compress_impl()
