"""Model states: all differences between a compressed model and its float model, in one file.

Workflows return model states; export, proof, execution and explanation need nothing else beside the float model. A file
is named ``<digest>.safetensors``: the digest hashes the file's bytes, and the header holds JSON.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from palettune.device_bench.conversion.low_rank import LowRank, add_low_rank
from palettune.device_bench.model.compressed_weight import CompressedWeight, install
from palettune.device_bench.model.layer_weight import put_layer_weight
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization, quantize_activations
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.normalizations import take_back
from palettune.evaluators.weights.rounded_uses import round_uses
from palettune.evaluators.weights.weight_bank import weight_digest
from palettune.space.configuration import Configuration, Precision
from palettune.space.errors import UserError
from palettune.space.layer import Layer, LayerKind
from palettune.space.layer_json import layer_from_json, layer_to_json

__all__ = ["DATA_FREE", "ModelState", "StateError", "model_digest"]

FORMAT = 1
DATA_FREE = "data_free"
_HEADER = "palettune_state"


class StateError(UserError):
    """Error for a state that does not fit its configuration or model, or a file that cannot be read."""


@dataclass(frozen=True)
class ModelState:
    """All differences between a compressed model and its float model.

    Attributes:
        configuration: the configuration that the state implements.
        model: ``model_digest`` of the float model that the state belongs to.
        weights: for each layer of the configuration, its weight, coremltools' metadata and scales.
        methods: for each layer, the name of the method that found its weight (``data_free``, ``gptq`` ...).
        tensors: changed biases, normalizations and other parameters or buffers, by their name in ``state_dict``; as they
            are where no layer has scales.
        activations: for each layer whose activations are in 8 bits, the quantization of its input.
        branches: low-rank branches beside layers, stored as weights of their own; over the scales of their layers.
        layers: those whose weight is not a module's parameter ``weight`` as it is, by name, those whose inputs ops
            round, and those with scales.

    Raises:
        StateError: a layer has no weight, method or quantization, or a value is not finite.
    """

    configuration: Configuration
    model: str
    weights: Mapping[str, CompressedWeight]
    methods: Mapping[str, str]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    activations: Mapping[str, ActivationQuantization] = field(default_factory=dict)
    branches: Mapping[str, LowRank] = field(default_factory=dict)
    layers: Mapping[str, Layer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, found in (("weight", self.weights), ("method", self.methods)):
            _same(what, set(found), set(self.configuration.encodings))
        asked = {name for name, p in self.configuration.activations.items() if p is Precision.INT8}
        _same("activation quantization", set(self.activations), asked)
        held = {n: w.weight for n, w in self.weights.items()} | dict(self.tensors)
        held |= {f"{n} ({part})": getattr(b, part) for n, b in self.branches.items() for part in ("down", "up")}
        for name, values in held.items():
            if not bool(torch.isfinite(values).all()):
                raise StateError(f"{name!r} holds values that are not finite (NaN or infinite)")

    @classmethod
    def data_free(
        cls,
        configuration: Configuration,
        weights: LayerWeights,
        model: str,
        activations: Mapping[str, ActivationQuantization] | None = None,
    ) -> ModelState:
        """Return the state of a data-free evaluation: each layer's weight from the bank, nothing else changed."""
        found = {name: weights.get(name, encoding) for name, encoding in configuration.encodings.items()}
        layers = {name: weights.layers[name] for name in found if _is_held(weights.layers[name], found[name])}
        methods = dict.fromkeys(found, DATA_FREE)
        return cls(configuration, model, found, methods, {}, dict(activations or {}), layers=layers)

    def rounded(
        self,
        configuration: Configuration,
        activations: Mapping[str, ActivationQuantization],
        layers: Mapping[str, Layer],
    ) -> ModelState:
        """Return this state with inputs in 8 bits, as a configuration asks.

        Args:
            configuration: with the encodings of this state.
            activations: the quantization of each input.
            layers: of the model, by name.
        """
        by_op = {name: layers[name] for name, one in activations.items() if one.by_op}
        held = {**self.layers, **by_op}
        return replace(self, configuration=configuration, activations=activations, layers=held)

    @property
    def keeps_the_rest(self) -> bool:
        """Whether only the layers' weights differ from the float model, so that both have the same base program."""
        scaled = any(compressed.scale is not None for compressed in self.weights.values())
        return not self.tensors and not self.activations and not self.branches and not scaled

    @property
    def branch_bytes(self) -> int:
        """Bytes of the low-rank branches in the package's weight file, beyond those of the configuration."""
        return sum(branch.bytes for branch in self.branches.values())

    def apply(self, model: nn.Module, *, metadata: bool = True) -> nn.Module:
        """Return a copy of the float model with this state, ready to run or to convert.

        Args:
            model: the float model; not changed.
            metadata: whether to keep coremltools' metadata beside it, which conversion reads, and to give scales of
                layers to their normalizations; if not, the weights hold them.

        Raises:
            StateError: the state was made from another model.
        """
        if model_digest(model) != self.model:
            raise StateError(
                "this state was made from a model with other weights; use the model that the state was made from, "
                "or search again with this one"
            )
        module = copy.deepcopy(model)
        held = module.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, values in self.tensors.items():
                if name not in held or held[name].shape != values.shape:
                    raise StateError(
                        f"the state holds {name!r} of shape {tuple(values.shape)}; the model has no such tensor"
                    )
                held[name].copy_(values)
        for name, compressed in self.weights.items():
            if metadata:
                install(module, self._layer(name), compressed)
                take_back(module, self._layer(name), compressed.scale)
            else:
                put_layer_weight(module, self._layer(name), compressed.effective)
        for name, quantization in self.activations.items():
            if not quantization.by_op:
                quantize_activations(module, name, quantization)
        by_op = {self._layer(name): one for name, one in self.activations.items() if one.by_op}
        if by_op:
            round_uses(module, by_op)
        for name, branch in self.branches.items():
            scale = None if metadata else self.weights[name].scale
            add_low_rank(module, name, branch if scale is None else branch.scaled(scale.flatten()))
        return module

    def _layer(self, name: str) -> Layer:
        return self.layers.get(name) or Layer(name, LayerKind.LINEAR, tuple(self.weights[name].weight.shape))

    @cached_property
    def digest(self) -> str:
        """Content hash of the state, which is the name of its file."""
        return _digest(self._data)

    def save(self, folder: Path) -> Path:
        """Write the state to ``folder`` atomically and return its path; an existing file of equal content is kept."""
        path = folder / f"{self.digest}.safetensors"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(self._data)
            os.replace(temporary, path)
        return path

    @classmethod
    def load(cls, path: Path) -> ModelState:
        """Read a state written by ``save``.

        Raises:
            StateError: the file does not exist, is damaged, or was written in another format.
        """
        try:
            if _digest(path.read_bytes()) != path.stem:
                raise StateError(
                    f"{path}: the file is damaged (its checksum does not match); evaluate the configuration again"
                )
            with safe_open(path, framework="pt") as file:
                header = json.loads(file.metadata()[_HEADER])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise StateError(f"{path}: no model state can be read from it: {error}") from error
        if header["format"] != FORMAT:
            raise StateError(
                f"{path}: written in format {header['format']}; this version reads {FORMAT}; evaluate the configuration again"
            )
        return _unpack(header, tensors)

    @cached_property
    def _data(self) -> bytes:
        header, tensors = _pack(self)
        # one key: safetensors orders several at random, and equal states must be equal files
        data: bytes = save_tensors(tensors, {_HEADER: json.dumps(header, sort_keys=True, separators=(",", ":"))})
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_data"}


def model_digest(model: nn.Module) -> str:
    """Hash all parameters and buffers of a model, with their names."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        digest.update(f"{name}:{weight_digest(value)}".encode())
    return digest.hexdigest()


def _same(what: str, found: set[str], wanted: set[str]) -> None:
    if found != wanted:
        name = min(found ^ wanted)
        problem = "has none in the state" if name in wanted else "is not asked for by the configuration"
        raise StateError(f"layer {name!r}: its {what} {problem}")


def _is_held(layer: Layer, compressed: CompressedWeight) -> bool:
    """Whether the state must tell what a layer is: no module of its name, or a normalization that has its scales."""
    return layer.module is None or compressed.scale is not None


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def _pack(state: ModelState) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Names of layers and parameters go into the header, where any character may be; tensors are numbered."""
    tensors: dict[str, Tensor] = {}

    def put(values: Tensor, *, half: bool = False) -> str:
        values = values.detach().cpu().contiguous().clone()
        smaller = values.half() if half else values
        tensors[f"{len(tensors)}"] = smaller if torch.equal(smaller.to(values.dtype), values) else values
        return f"{len(tensors) - 1}"

    layers = {
        name: {
            "method": state.methods[name],
            "weight": put(compressed.weight, half=True),  # what the package stores; fp16 where it loses nothing
            "buffers": {key: put(value) for key, value in sorted(compressed.buffers.items())},
            **({} if compressed.scale is None else {"scale": put(compressed.scale)}),
        }
        for name, compressed in sorted(state.weights.items())
    }
    held = {name: layer_to_json(layer) for name, layer in sorted(state.layers.items())}
    header = {
        **({"held": held} if held else {}),
        "format": FORMAT,
        "model": state.model,
        "configuration": state.configuration.to_json(),
        "layers": layers,
        "tensors": {name: put(value) for name, value in sorted(state.tensors.items())},
        "activations": {name: _rounding(one) for name, one in sorted(state.activations.items())},
        "branches": {
            name: {"down": put(branch.down, half=True), "up": put(branch.up, half=True)}
            for name, branch in sorted(state.branches.items())
        },
    }
    return header, tensors


def _rounding(quantization: ActivationQuantization) -> dict[str, Any]:
    """The plain values; those of the input of a module are what they were before ops rounded theirs."""
    return {name: value for name, value in asdict(quantization).items() if name != "by_op" or value}


def _unpack(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ModelState:
    layers = header["layers"]
    return ModelState(
        Configuration.from_json(header["configuration"]),
        header["model"],
        {
            name: CompressedWeight(
                tensors[layer["weight"]].float(),
                {key: tensors[at] for key, at in layer["buffers"].items()},
                tensors[layer["scale"]] if "scale" in layer else None,
            )
            for name, layer in layers.items()
        },
        {name: layer["method"] for name, layer in layers.items()},
        {name: tensors[at] for name, at in header["tensors"].items()},
        {name: ActivationQuantization(**values) for name, values in header["activations"].items()},
        {
            name: LowRank(tensors[at["down"]].float(), tensors[at["up"]].float())
            for name, at in header.get("branches", {}).items()
        },
        {name: layer_from_json(name, values) for name, values in header.get("held", {}).items()},
    )
