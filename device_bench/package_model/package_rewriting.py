"""Packages written again with the weights that a module holds, compressed as its metadata says.

The program is read by coremltools' own loader, each layer's constant gives way to the ops that coremltools' torch front
end makes of the same weight and metadata, and the program is written by coremltools' own backend with the package's own
description. Of its passes only those of the backend run, and the one that moves scales into tables, as in a conversion.
"""

from __future__ import annotations

from typing import Any

import coremltools as ct
import numpy as np

from palettune.device_bench.library_internals import load_mil_program, write_mil_program
from palettune.device_bench.model.compressed_weight import installed
from palettune.device_bench.package.encoded_weight import encoded_weight
from palettune.device_bench.package.package import load_spec
from palettune.device_bench.package_model.package_layers import operations
from palettune.device_bench.package_model.package_module import PackageLayer, PackageModule
from palettune.device_bench.package_model.quantized_activation import activation_quantizations
from palettune.device_bench.package_model.rounded_products import round_input
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

__all__ = ["RewritingError", "rewrite"]

#: Passes that run: scaled tables take the form that a conversion gives them, and what is used no more is dropped.
_PASSES = ("common::canonicalize_quantized_lut_pattern", "common::dead_code_elimination")


class RewritingError(UserError):
    """A package that cannot be written for a deployment target."""


def rewrite(module: PackageModule, target: DeploymentTarget) -> ct.models.MLModel:
    """Write a module's package again, with the module's weights and encodings.

    Weights without metadata are stored in fp16. In a program that computes in float32 they are cast back by
    ``constexpr_cast``, and tables and scales are float32: no op of the program sees another type than before.

    Args:
        module: an assembled package; its compressed layers hold coremltools' metadata (``compressed_weight.install``).
        target: the deployment target; the program is brought to its opset.

    Raises:
        RewritingError: the package, or what is to be in it, needs a newer system than the target.
        PackageError: the package cannot be read any more.
    """
    spec = load_spec(module.path)
    version = getattr(ct.target, str(target)).value
    if spec.specificationVersion > version:
        needed = ct.target(spec.specificationVersion).name
        raise RewritingError(
            f"{module.path}: needs {needed} or its macOS twin, and the deployment target is {target}; set "
            f'deployment_target = "{needed}"'
        )
    program = _read(module, spec, version, target)
    (function,) = program.functions.values()
    _quantize_activations(function, module, target)
    _replace_weights(function, module)
    pipeline = ct.PassPipeline()
    pipeline.passes = list(_PASSES)
    return write_mil_program(program, version, spec.description, pipeline)


def _read(module: PackageModule, spec: Any, version: int, target: DeploymentTarget) -> Any:
    """The program in the target's opset.

    The ops that hold compressed weights have another form from iOS18 on, into which coremltools does not bring them.
    """
    old = spec.specificationVersion < ct.target.iOS18.value <= version
    if old and "compressed already" in module.kept.values():
        raise RewritingError(
            f"{module.path}: holds weights that are compressed in the form of iOS16, which {target} does not have; set "
            'deployment_target = "iOS17", or use the package from before it was compressed'
        )
    return load_mil_program(spec, version, module.path / "Data/com.apple.CoreML/weights")


def _replace_weights(function: Any, module: PackageModule) -> None:
    """Put every layer's ops first, where a conversion has them, and let their consumers read these."""
    constants = {op.outputs[0].name: op for op in operations(function) if op.op_type == "const"}
    weights = installed(module)
    before = set(map(id, function.operations))
    replaced = []
    with function:
        for constant, layer in module.constants().items():
            old = constants[constant]
            half = old.outputs[0].val.dtype == np.float16
            buffers = weights[layer].buffers if layer in weights else {}
            weight = module.get_submodule(layer).get_parameter("weight")
            replaced.append((old, encoded_weight(weight, buffers, constant, half=half)))
    own = [op for op in function.operations if id(op) in before]
    made = [op for op in function.operations if id(op) not in before]
    function.operations = [*made, *own]
    for old, new in replaced:
        block = old.enclosing_block
        with block:
            block.replace_uses_of_var_after_op(anchor_op=old, old_var=old.outputs[0], new_var=new, force_replace=True)
            block.remove_ops([old])


def _quantize_activations(function: Any, module: PackageModule, target: DeploymentTarget) -> None:
    """Round what enters an op where the module rounds it (``quantize_activations``)."""
    roundings = activation_quantizations(module)
    if roundings and target.generation < 17:
        raise RewritingError(f"{module.path}: activations of 8 bits need iOS17 or macOS14, and the target is {target}")
    outputs = {name: output for output, name in module.calls.items()}
    made = {op.outputs[0].name: op for op in operations(function) if op.outputs}
    for name, rounding in roundings.items():
        layer = module.get_submodule(name)
        if name not in outputs or not isinstance(layer, PackageLayer):
            raise RewritingError(
                f"layer {name!r}: the input of a recurrent op cannot be rounded to 8 bits; keep its activations in fp16"
            )
        round_input(made[outputs[name]], layer.activation_name, rounding)
