"""Recipes in the form of ``coreai-opt`` 0.4: palettization, quantization or pruning of weights, by module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from palettune.search.experiment.recipes.coremltools_recipe import MODULE_KINDS
from palettune.search.experiment.recipes.recipe_rules import NameRule, RecipeEntry, RecipeError, RecipeRules
from palettune.search.experiment.recipes.weight_settings import Settings
from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import LayerKind

__all__ = ["COREAI_KEYS", "coreai_recipe"]

_ACTIVATIONS = ("op_input_spec", "op_output_spec", "module_input_spec", "module_output_spec")
_WEIGHTS = ("module_state_spec", "op_state_spec")
_WORK = ("enable_fast_kmeans_mode", "rounding_precision", "pat_schedule", "qat_schedule", "vector_kmeans_config")


def coreai_recipe(values: Mapping[str, Any], where: str) -> RecipeRules:
    """Read a configuration of coreai-opt, as its ``from_dict`` takes it; names are regular expressions.

    Raises:
        RecipeError: naming the entry that cannot be expressed.
    """
    kind = next(key for key in COREAI_KEYS if key in values)
    held, form = values[kind] or {}, COREAI_KEYS[kind]

    def entry(place: str, given: Any) -> RecipeEntry:
        return RecipeEntry(place, FP16 if given is None else _module(given, place, form))

    names = tuple(
        NameRule(name, entry(f"{where}: module_name_configs.{name}", given), regular=True)
        for name, given in (held.get("module_name_configs") or {}).items()
    )
    types: dict[LayerKind, RecipeEntry] = {}
    for name, given in (held.get("module_type_configs") or {}).items():
        short, place = str(name).rpartition(".")[2], f"{where}: module_type_configs.{name}"
        if short not in MODULE_KINDS:
            raise RecipeError(f"{place}: no layer is of this type; expected one of {', '.join(MODULE_KINDS)}")
        types |= dict.fromkeys(MODULE_KINDS[short], entry(place, given))
    default = entry(f"{where}: global_config", held.get("global_config", {}))
    return RecipeRules(names, types, default, strict=False)


def _module(given: Mapping[str, Any], where: str, form: _Form) -> Encoding:
    """The encoding of the weights of a module."""
    for key in _ACTIVATIONS:
        held = given.get(key, form is _quantization and key.startswith("op_"))  # left out, they are 8 bits there
        if held is True or (isinstance(held, Mapping) and any(value is not None for value in held.values())):
            raise RecipeError(f"{where}.{key}: a recipe is of weights; write `{key}: null`")
    for key in given:
        if key in ("op_type_config", "op_name_config") and given[key]:
            raise RecipeError(f"{where}.{key}: ops within a module cannot be told apart; name modules instead")
        if key not in (*_ACTIVATIONS, *_WEIGHTS, *_WORK, "op_type_config", "op_name_config", "sparsity_schedule"):
            raise RecipeError(f"{where}.{key}: not a key of this form")
    for key in _WEIGHTS:
        if given.get(key, {}) is None:
            return FP16
        for tensor in ("weight", "*"):
            if tensor in given.get(key, {}):
                spec = given[key][tensor]
                return FP16 if spec is None else form(Settings(f"{where}.{key}.{tensor}", _flat(spec)))
    return form(Settings(where, {}))


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification whose granularity is written as coremltools writes it."""
    flat = dict(spec)
    granularity = flat.pop("granularity", None)
    if isinstance(granularity, Mapping):
        held = dict(granularity)
        flat["granularity"] = held.pop("type", "per_tensor")
        flat |= {key: value for key, value in held.items() if value is not None}
    elif granularity is not None:
        flat["granularity"] = granularity
    return flat


def _palettization(settings: Settings) -> Encoding:
    settings.ignore("training_strategy_spec", "sparsity_detection_threshold")
    settings.add("channel_axis", settings.take("axis", 0))
    entries = settings.take("lut_qspec")
    if entries is not None:
        settings.add("lut_dtype", entries.get("dtype", "int8"))
    return settings.table("n_bits")


def _quantization(settings: Settings) -> Encoding:
    axis, formula = settings.take("axis"), settings.take("qformulation", "zp")
    if formula != "zp":
        raise settings.fail("qformulation", formula, "zp")
    blocks = settings.take("block_size")
    if blocks is not None:
        if axis not in (None, 1):
            raise settings.fail("axis", axis, "1, the input channels")
        settings.add("block_size", blocks)
    elif axis not in (None, 0):
        raise settings.fail("axis", axis, "0, the output channels")
    settings.ignore("fake_quantize_cls", "qparam_calculator_cls", "range_calculator_cls")
    return settings.linear("dtype", "qscheme")


def _pruning(settings: Settings) -> Encoding:
    settings.ignore("pruning_algo")
    scheme = settings.take("pruning_scheme", {"type": "unstructured"})
    kind = scheme.get("type") if isinstance(scheme, Mapping) else scheme
    if kind == "channel_structured":
        settings.add("granularity", "per_channel")
    elif kind != "unstructured":
        raise settings.fail("pruning_scheme", kind, "unstructured or channel_structured")
    return settings.sparse()


_Form = Callable[[Settings], Encoding]

COREAI_KEYS: dict[str, _Form] = {
    "kmeans_palettization_config": _palettization,
    "quantization_config": _quantization,
    "magnitude_pruning_config": _pruning,
}
"""The key by which each form is known, and how its specifications become encodings."""
