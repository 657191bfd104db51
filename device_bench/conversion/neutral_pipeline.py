"""Graph passes that keep a layer's encoding from changing anything but that layer's own weight.

coremltools folds normalizations and scales into a weight when it is a plain constant, but not when it is compressed,
and merges equal constants. Both would make the package hold other weights than the assembled ones, and the bytes of
one layer depend on the encoding of its neighbour. The pass list is coremltools' ``_COMMON_PASSES`` (version 9.0); see
https://apple.github.io/coremltools/docs-guides/source/graph-passes-intro.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from coremltools import PassPipeline
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.distinct_outputs import DISTINCT_OUTPUTS
from palettune.device_bench.conversion.repeated_constants import REPEATED_CONSTANTS
from palettune.device_bench.conversion.turned_weights import HOLD, RELEASE
from palettune.device_bench.conversion.weights.stored_weights import STORE_WEIGHTS, is_stored
from palettune.device_bench.library_internals import AbstractGraphPass, register_pass
from palettune.device_bench.package.program_graph import RECURRENT_OPS

__all__ = ["LEFT_OUT", "WEIGHT_OPERANDS", "neutral_pipeline"]

#: Passes that are left out, and why. What they fuse is fused again by Core ML's own compiler on the device.
LEFT_OUT: dict[str, str] = {
    "common::fuse_conv_batchnorm": "multiplies a normalization into the weight of a plain convolution only",
    "common::fuse_conv_scale": "multiplies a constant into the weight of a plain convolution only",
    "common::fuse_conv_bias": "negates the weight of `constant - conv`, and reads a weight that compression hides",
    "common::fuse_linear_bias": "negates the weight of `constant - linear`, and skips compressed weights",
    "common::compose_conv1d": "squeezes the weight of `unsqueeze -> conv2d -> squeeze`, impossible once compressed",
}

#: The operand that holds the weight, for every MIL op that a layer can become.
WEIGHT_OPERANDS: dict[str, tuple[str, ...]] = {
    "conv": ("weight",),
    "conv_transpose": ("weight",),
    "linear": ("weight",),
    "matmul": ("x", "y"),
    "gather": ("x",),
    "gather_along_axis": ("x",),
    # coremltools puts these together from a torch module's, gate by gate
    "lstm": ("weight_ih", "weight_hh", "weight_ih_back", "weight_hh_back"),
    "gru": ("weight_ih", "weight_hh"),
    "rnn": ("weight_ih", "weight_hh"),
}

_SET_APART = "palettune::set_weights_apart"
_FIRST = "palettune::place_weights_first"
_HALVED = "palettune::halve_float32_weights"
_DEDUPLICATION = "common::const_deduplication"


def neutral_pipeline() -> PassPipeline:
    """Return the pass pipeline under which packages of two configurations differ in their layers' weights alone."""
    pipeline = PassPipeline()
    pipeline.remove_passes(LEFT_OUT)
    passes = [HOLD]
    for name in pipeline.passes:
        passes += [_SET_APART, name] if name == _DEDUPLICATION else [name]
    pipeline.passes = [
        *passes,
        RELEASE,
        DISTINCT_OUTPUTS,
        REPEATED_CONSTANTS,
        _HALVED,
        STORE_WEIGHTS,
        _SET_APART,
        _FIRST,
    ]
    return pipeline


@register_pass(namespace="palettune", override=True)
class set_weights_apart(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: give every weight its own key, so that ``const_deduplication`` merges no weight.

    Equal normalization constants, masks and position tables are still merged, whatever the configuration.
    """

    def apply(self, prog: Any) -> None:
        """Mark the weights of all functions of a MIL program."""
        for function in prog.functions.values():
            for index, op in enumerate(_operations(function)):
                if op.op_type.startswith("constexpr_") or _is_weight(op):
                    op.weight_key = f"weight_{index}"


@register_pass(namespace="palettune", override=True)
class halve_float32_weights(AbstractGraphPass):  # type: ignore[misc]
    """Graph pass: store the weights of float32 ops in fp16, with a cast back at load time.

    The encoding decides how a layer is stored, whatever precision its op computes in. A weight beyond the range of fp16
    stays float32.
    """

    def apply(self, prog: Any) -> None:
        """Replace the weights in all functions of a MIL program."""
        for function in prog.functions.values():
            with function:
                for op in list(function.operations):
                    if _is_weight(op) and _fits(op.outputs[0]) and not _is_recurrent(op.outputs[0]):
                        self._replace(function, op)

    @staticmethod
    def _replace(function: Any, op: Any) -> None:
        half = op.outputs[0].val.astype(np.float16)
        new = mb.constexpr_cast(source_val=half, output_dtype="fp32", before_op=op, name=op.name)
        function.replace_uses_of_var_after_op(anchor_op=op, old_var=op.outputs[0], new_var=new, force_replace=True)
        function.remove_ops([op])


def _fits(weight: Any) -> bool:
    value = weight.val
    if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.ndim < 2:
        return False
    return bool(np.abs(value).max(initial=0) <= np.finfo(np.float16).max)


def _is_recurrent(weight: Any) -> bool:
    return any(user.op_type in RECURRENT_OPS or user.op_type.startswith("constexpr_") for user in weight.child_ops)


@register_pass(namespace="palettune", override=True)
class place_weights_first(AbstractGraphPass):  # type: ignore[misc]
    """Graph pass: declare plain weights first, where coremltools already puts compressed ones.

    The weight file ends without padding, so its size is a sum over layers only if its last entry never changes.
    """

    def apply(self, prog: Any) -> None:
        """Move the plain weights of all functions of a MIL program to the front; the order has no other meaning."""
        for function in prog.functions.values():
            operations = list(function.operations)
            weights = [op for op in operations if op.op_type == "const" and _is_weight(op)]
            moved = set(map(id, weights))
            function.operations = weights + [op for op in operations if id(op) not in moved]


def _operations(block: Any) -> Iterator[Any]:
    for op in block.operations:
        for inner in op.blocks:
            yield from _operations(inner)
        yield op


def _is_weight(op: Any) -> bool:
    """Whether a constant is the weight of an op, or a part of a compressed one."""
    if op.op_type != "const":
        return False
    var = op.outputs[0]
    return is_stored(op) or any(
        user.op_type.startswith("constexpr_")
        or any(user.inputs.get(name) is var for name in WEIGHT_OPERANDS.get(user.op_type, ()))
        for user in var.child_ops
    )
