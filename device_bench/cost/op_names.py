"""Classification of Core ML op types for the cost model.

Ops are those of https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.package.program_graph import RECURRENT_OPS

__all__ = ["ACTIVATIONS", "FREE", "OF_CONSTANTS", "PASSED_ON", "kind_of_op"]

FREE = frozenset(
    {
        "cast", "const", "dequantize", "expand_dims", "function", "identity", "quantize", "read_state", "reshape", "return",
        "shape", "squeeze", "transpose",
    }
)  # fmt: skip
ACTIVATIONS = frozenset(
    {
        "batch_norm", "clamped_relu", "clip", "elu", "gelu", "leaky_relu", "linear_activation", "prelu", "relu",
        "relu6", "scaled_tanh", "sigmoid", "sigmoid_hard", "silu", "softplus", "softsign", "tanh",
    }
)  # fmt: skip
_MOVES = frozenset(
    {
        "concat", "coreml_update_state", "crop", "pad", "pixel_shuffle", "reverse", "slice_by_index", "slice_by_size",
        "slice_update", "sliding_windows", "space_to_depth", "depth_to_space", "split", "stack", "tile",
        "upsample_bilinear", "upsample_nearest_neighbor", "resize_bilinear", "resize_nearest_neighbor",
    }
)  # fmt: skip
_HOST = frozenset(
    {
        "argsort", "classify", "cond", "cumsum", "gather_along_axis", "gather_nd", "make_list", "non_maximum_suppression",
        "non_zero", "one_hot", "random_normal", "random_uniform", "range_1d", "reduce_argmax", "reduce_argmin",
        "scatter", "scatter_along_axis", "scatter_nd", "topk", "while_loop",
    }
)  # fmt: skip
PASSED_ON = frozenset(
    {
        "cast", "concat", "crop", "depth_to_space", "expand_dims", "identity", "max_pool", "pad", "pixel_shuffle", "relu",
        "relu6", "reshape", "reverse", "slice_by_index", "slice_by_size", "space_to_depth", "split", "squeeze", "stack",
        "tile", "transpose", "upsample_nearest_neighbor",
    }
)  # fmt: skip
"""Ops whose outputs have the scale of their inputs: 8-bit inputs give 8-bit outputs."""
OF_CONSTANTS = frozenset({"cast", "dequantize", "expand_dims", "identity", "reshape", "squeeze", "transpose"})
"""Ops that may stand between a constant and the op whose weight it is."""
_NORMS = frozenset({"instance_norm", "l2_norm", "layer_norm", "local_response_norm"})
_KINDS = {"softmax": OpKind.SOFTMAX, "avg_pool": OpKind.POOL, "max_pool": OpKind.POOL, "l2_pool": OpKind.POOL}


def kind_of_op(kind: str) -> OpKind:
    """Return the kind of an op without a weight."""
    if kind in _KINDS:
        return _KINDS[kind]
    groups = ((_MOVES, OpKind.MOVE), (_HOST, OpKind.HOST), (RECURRENT_OPS, OpKind.RECURRENT), (_NORMS, OpKind.NORM))
    for names, found in groups:
        if kind in names:
            return found
    return OpKind.POOL if kind.startswith("reduce_") else OpKind.ELEMENTWISE
