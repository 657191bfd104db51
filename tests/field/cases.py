"""Small models from the field, made after public reports of trouble, and what must become of each."""

from __future__ import annotations

import ast
import json
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CASES", "Case", "first_line", "write_case"]

_WORKLOADS = Path(__file__).with_name("workloads")
_EXPERIMENT: dict[str, Any] = {
    "deployment_target": "iOS18",
    "space": {"encodings": ["fp16", "lut8", "lut4", "int8"]},
    "search": {"score_samples": 8, "solved_trials": 3, "confirm": 2},
    "budget": {"trials": 6},
}


@dataclass(frozen=True)
class Case:
    """What must become of one model.

    Attributes:
        kind: what it is about, in words.
        refused: words of the error that ends it before anything expensive; empty where it runs from end to end.
        said: words that a user reads on the way.
        calibrated: it asks for a calibration, which sees the inputs of layers, improves the model and is exported.
    """

    kind: str
    refused: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    calibrated: bool = False


def write_case(name: str, folder: Path) -> Path:
    """Write a case's workload and experiment into a folder; the experiment's path."""
    source = _source(name)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder / "workload.py")
    values = _merged(_EXPERIMENT, tomllib.loads(_own_keys(source)))
    path = folder / "experiment.toml"
    path.write_text("".join(_lines({"name": name, "workload": "workload.py", **values})))
    return path


def first_line(name: str) -> str:
    """What a case shows, from its workload's docstring."""
    return (ast.get_docstring(ast.parse(_source(name).read_text())) or "").splitlines()[0]


def _source(name: str) -> Path:
    """The file of a workload, in the folder of its kind."""
    return next(_WORKLOADS.glob(f"*/{name}.py"))


def _own_keys(source: Path) -> str:
    """The keys that a workload asks for beyond those that all cases share."""
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXPERIMENT":
            return str(ast.literal_eval(node.value))
    return ""


def _merged(values: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in own.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _lines(values: dict[str, Any], prefix: str = "") -> list[str]:
    """TOML, with dotted keys instead of tables."""
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {json.dumps(value)}\n")
    return lines


_PRECISION = "fp16 overflow"
_SIZES = "unused layers, weights computed with"
_GRADIENTS = "layers without gradient"
_STATE = "state between samples"
_BRANCHES = "branches frozen by tracing"
_SHAPES = "shapes that vary"
_PACKAGES = "packages made by others"
_FOLDING = "weights that are computed"
_AXES = "where samples lie"
_OUTPUTS = "outputs of many kinds"
_LOADING = "checkpoints and layers of other types"
_PROGRAMS = "programs of torch"
_LAYERS = "weights used in every way"
_COVERED = ("layers are 9", "% of the weights' bytes")

_MASK = ("fp16", "-1e4")
_NO_GRADIENT = ("no gradient",)

CASES: dict[str, Case] = {
    "fp16_overflow": Case(_PRECISION, refused=("fp16", "'b'", "space.float32")),
    "wide_variance": Case(_PRECISION, refused=("fp16", "'norm'", "space.float32")),
    "exponential": Case(_PRECISION, refused=("fp16", "'gate'", "space.float32")),
    "padded_mask": Case(_PRECISION, refused=_MASK),
    "tied_lm": Case(_PRECISION, refused=_MASK),
    "mapping_out": Case(_PRECISION, refused=_MASK),
    "near_limit": Case(_PRECISION),
    "causal_mask": Case(_PRECISION),
    "kept_float32": Case(_PRECISION),
    "unused": Case(_SIZES, said=("pooler", "unused")),
    "pooler": Case(_SIZES, said=("pooler", "next_sentence", "unused")),
    "standardized_conv": Case(_SIZES, calibrated=True),
    "equalized_rate": Case(_SIZES, calibrated=True),
    "cosine_head": Case(_SIZES),
    "codebook": Case(_SIZES),
    "merged_adapter": Case(_SIZES, calibrated=True),
    "siamese": Case(_SIZES),
    "projected_tie": Case(_SIZES),
    "detached": Case(_GRADIENTS, said=_NO_GRADIENT),
    "nograd": Case(_GRADIENTS, said=_NO_GRADIENT),
    "inference_decorated": Case(_GRADIENTS, said=_NO_GRADIENT),
    "hard_router": Case(_GRADIENTS, said=_NO_GRADIENT),
    "rounded_bottleneck": Case(_GRADIENTS, said=_NO_GRADIENT),
    "detached_teacher": Case(_GRADIENTS, said=_NO_GRADIENT),
    "stateful": Case(_STATE),
    "stateful1w": Case(_STATE),
    "streaming_conv": Case(_STATE),
    "running_average": Case(_STATE),
    "hidden_attribute": Case(_STATE),
    "call_counter": Case(_STATE, refused=("calls",)),
    "branch": Case(_BRANCHES, refused=("torch.jit.trace", "workload.py")),
    "early_exit": Case(_BRANCHES, refused=("torch.jit.trace", "workload.py")),
    "item_scale": Case(_BRANCHES, refused=("workload.py",)),
    "shape_branch": Case(_BRANCHES),
    "varlen": Case(_SHAPES, said=("1 of 8 samples",)),
    "varying_images": Case(_SHAPES, said=("3 of 9 samples",)),
    "varying_batches": Case(_SHAPES),
    "p_flexible": Case(_SHAPES),
    "p_enumerated": Case(_SHAPES),
    "p_range_two": Case(_SHAPES),
    "p_enumerated_images": Case(_SHAPES),
    "declared_lengths": Case(_SHAPES, said=("named input_ids, (1, 1..64)",)),
    "declared_pictures": Case(_SHAPES, said=("classifier of 4 labels",)),
    "p_w8a8": Case(_PACKAGES, refused=("compressed already",)),
    "p_palettized": Case(_PACKAGES, refused=("compressed already",)),
    "weightnorm_new": Case(_FOLDING, calibrated=True),
    "weightnorm_same": Case(_FOLDING),
    "weightnorm_hooks": Case(_FOLDING),
    "orthogonal": Case(_FOLDING),
    "pruning_masks": Case(_FOLDING),
    "weight_as_buffer": Case(_FOLDING),
    "normed_recurrent": Case(_FOLDING),
    "hyper_network": Case(_FOLDING),
    "batch1": Case(_AXES),
    "one_image": Case(_AXES),
    "nobatch": Case(_AXES),
    "no_batch_matrix": Case(_AXES),
    "timefirst": Case(_AXES),
    "time_first_attention": Case(_AXES),
    "shared_mask": Case(_AXES),
    "none_out": Case(_OUTPUTS),
    "dataclass_out": Case(_OUTPUTS),
    "namedtuple_out": Case(_OUTPUTS),
    "model_output": Case(_OUTPUTS),
    "enum_out": Case(_OUTPUTS),
    "bf16": Case(_LOADING, said=("bfloat16",)),
    "fp16_checkpoint": Case(_LOADING, said=("float16",)),
    "float64_model": Case(_LOADING, said=("float64",)),
    "zero_channels": Case(_LOADING),
    "tiny_space": Case(_LOADING, said=("every configuration",)),
    "torchscript": Case(_PROGRAMS, calibrated=True),
    "scripted_state": Case(_PROGRAMS),
    "exported_program": Case(_PROGRAMS, calibrated=True),
    "fixed_export": Case(_PROGRAMS),
    "functional": Case(_LAYERS, said=("layers are 100.0 %",), calibrated=True),
    "gpt2_conv1d": Case(_LAYERS, said=("layers are 100.0 %",), calibrated=True),
    "lstm": Case(_LAYERS, said=_COVERED, calibrated=True),
    "mha": Case(_LAYERS, said=("layers are 100.0 %",), calibrated=True),
    "gru_alone": Case(_LAYERS, said=_COVERED, calibrated=True),
    "gru_beside": Case(_LAYERS, said=_COVERED),
    "bare_parameters": Case(_LAYERS, said=("layers are 100.0 %",)),
}
