"""Recipes in the forms of coremltools: ``coremltools.optimize.coreml`` by op, ``coremltools.optimize.torch`` by module.

https://apple.github.io/coremltools/docs-guides/source/opt-overview.html describes both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from palettune.search.experiment.recipes.recipe_rules import NameRule, RecipeEntry, RecipeError, RecipeRules
from palettune.search.experiment.recipes.weight_settings import Settings
from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import LayerKind

__all__ = ["MODULE_KINDS", "op_recipe", "torch_recipe"]

_OP_THRESHOLD = 2048  # coremltools leaves smaller weights as they are
_OP_KINDS: dict[str, tuple[LayerKind, ...]] = {
    "conv": (LayerKind.CONV1D, LayerKind.CONV2D, LayerKind.CONV3D),
    "conv_transpose": (LayerKind.CONV_TRANSPOSE1D, LayerKind.CONV_TRANSPOSE2D, LayerKind.CONV_TRANSPOSE3D),
    "linear": (LayerKind.LINEAR,),
    "matmul": (LayerKind.MATMUL,),
    "gather": (LayerKind.EMBEDDING,),
    "lstm": (LayerKind.RECURRENT,),
    "gru": (LayerKind.RECURRENT,),
}
MODULE_KINDS: dict[str, tuple[LayerKind, ...]] = {
    "Conv1d": (LayerKind.CONV1D,),
    "Conv2d": (LayerKind.CONV2D,),
    "Conv3d": (LayerKind.CONV3D,),
    "ConvTranspose1d": (LayerKind.CONV_TRANSPOSE1D,),
    "ConvTranspose2d": (LayerKind.CONV_TRANSPOSE2D,),
    "ConvTranspose3d": (LayerKind.CONV_TRANSPOSE3D,),
    "Linear": (LayerKind.LINEAR,),
    "Embedding": (LayerKind.EMBEDDING,),
    "MultiheadAttention": (LayerKind.LINEAR,),
}
"""Kinds of layers by the names of torch's modules."""


def op_recipe(values: Mapping[str, Any], where: str) -> RecipeRules:
    """Read an ``OptimizationConfig`` of ``coremltools.optimize.coreml``, as its ``from_dict`` takes it.

    An op is named as Palettune names the layer, or as the op of a torch model is: ``blocks_0_conv`` for ``blocks.0.conv``.

    Raises:
        RecipeError: naming the entry that cannot be expressed.
    """
    kind = values.get("config_type")

    def entry(place: str, given: Any) -> RecipeEntry:
        settings = Settings(place, given or {})
        threshold = settings.take("weight_threshold", _OP_THRESHOLD)
        if given is None:
            return RecipeEntry(place, FP16)
        return RecipeEntry(place, _op_encoding(settings, settings.take("config_type", kind)), int(threshold))

    _known(values, ("config_type", "global_config", "op_type_configs", "op_name_configs"), where)
    names = tuple(
        NameRule(_op_name(name), entry(f"{where}: op_name_configs.{name}", given), regular=True)
        for name, given in (values.get("op_name_configs") or {}).items()
    )
    types = _by_type(values.get("op_type_configs") or {}, _OP_KINDS, f"{where}: op_type_configs", entry)
    default = values.get("global_config")
    return RecipeRules(
        names, types, None if default is None else entry(f"{where}: global_config", default), strict=False
    )


def torch_recipe(values: Mapping[str, Any], where: str) -> RecipeRules:
    """Read a configuration of ``coremltools.optimize.torch`` from a mapping; names are regular expressions.

    Raises:
        RecipeError: naming the entry that cannot be expressed.
    """

    def entry(place: str, given: Any) -> RecipeEntry:
        return RecipeEntry(place, FP16 if given is None else _module_encoding(Settings(place, given), given))

    _known(values, ("global_config", "module_type_configs", "module_name_configs"), where)
    names = tuple(
        NameRule(name, entry(f"{where}: module_name_configs.{name}", given), regular=True)
        for name, given in (values.get("module_name_configs") or {}).items()
    )
    types = _by_type(values.get("module_type_configs") or {}, MODULE_KINDS, f"{where}: module_type_configs", entry)
    default = values.get("global_config")
    return RecipeRules(
        names, types, None if default is None else entry(f"{where}: global_config", default), strict=False
    )


def _op_encoding(settings: Settings, kind: object) -> Encoding:
    mode = settings.take("mode", None)
    if kind == "OpPalettizerConfig":
        if mode not in (None, "kmeans"):
            raise settings.fail("mode", mode, "kmeans")
        settings.ignore("num_kmeans_workers")
        if "group_size" not in settings.given:
            settings.add("group_size", 32)
        return settings.table("nbits")
    if kind == "OpLinearQuantizerConfig":
        settings.add("scheme", "asymmetric" if mode == "linear" else "symmetric")
        if "block_size" not in settings.given:
            settings.add("block_size", 32)
        return settings.linear("dtype", "scheme")
    if kind == "OpMagnitudePrunerConfig":
        return settings.sparse()
    raise RecipeError(
        f"{settings.where}: config_type {kind!r} cannot be expressed; expected OpPalettizerConfig, "
        "OpLinearQuantizerConfig or OpMagnitudePrunerConfig"
    )


def _module_encoding(settings: Settings, given: Mapping[str, Any]) -> Encoding:
    """The compressor is told by its settings, as coremltools' classes differ in them."""
    settings.ignore("enable_fast_kmeans_mode", "rounding_precision", "milestones")
    if {"target_sparsity", "n_m_ratio", "initial_sparsity"} & set(given):
        return settings.sparse()
    if {"weight_dtype", "quantization_scheme"} & set(given):
        activations = str(settings.take("activation_dtype", "float32"))
        if activations.removeprefix("torch.") != "float32":
            raise settings.fail("activation_dtype", activations, "float32: a recipe is of weights")
        return settings.linear("weight_dtype", "quantization_scheme")
    return settings.table("n_bits")


def _by_type(
    given: Mapping[str, Any],
    kinds: Mapping[str, tuple[LayerKind, ...]],
    where: str,
    entry: Callable[[str, Any], RecipeEntry],
) -> dict[LayerKind, RecipeEntry]:
    found: dict[LayerKind, RecipeEntry] = {}
    for name, value in given.items():
        short = str(name).rpartition(".")[2]
        if short not in kinds:
            raise RecipeError(f"{where}.{name}: no layer is of this type; expected one of {', '.join(kinds)}")
        found |= dict.fromkeys(kinds[short], entry(f"{where}.{name}", value))
    return found


def _op_name(name: str) -> str:
    """A regular expression for the layer names that an op's name may stand for."""
    stem = name
    for tail in ("_to_fp16", "_weight"):
        stem = stem.removesuffix(tail)
    return "".join("[._]" if letter in "._" else letter for letter in stem)


def _known(values: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in keys:
            raise RecipeError(f"{where}: {key}: not a key of this form; it has {', '.join(keys)}")
