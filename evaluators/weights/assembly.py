"""Assembly: compressed weights from the bank, copied into one reused module."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight, install
from palettune.device_bench.model.layer_weight import layer_weight, put_layer_weight
from palettune.evaluators.compression.compression import changed_since
from palettune.evaluators.compression.free_scales import compress_with_free_scales, free_scales_version
from palettune.evaluators.placement import CPU, copied
from palettune.evaluators.weights.normalizations import take_back
from palettune.evaluators.weights.weight_bank import WeightBank, weight_digest
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["Assembler", "LayerWeights"]


class LayerWeights:
    """Data-free compressed weights of one model's layers, from the bank or compressed on demand.

    Args:
        model: the float model; not changed.
        layers: the layers that can be compressed.
        bank: where compressed weights are stored.
        seed: of clustering.
        cache_bytes: bound on compressed weights kept in memory between calls.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: tuple[Layer, ...],
        bank: WeightBank,
        seed: int = 0,
        cache_bytes: int = 2 * 1024**3,
    ) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.bank = bank
        self._model = model
        self._seed = seed
        self._digests: dict[str, str] = {}
        self._cache: OrderedDict[tuple[str, Encoding], CompressedWeight] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._held = 0

    def float_weight(self, layer: str) -> Tensor:
        """Return the uncompressed weight of a layer."""
        return layer_weight(self._model, self.layers[layer])

    def key(self, layer: str, encoding: Encoding) -> str:
        """Return the bank's key of one (layer, encoding)."""
        if layer not in self._digests:
            self._digests[layer] = weight_digest(self.float_weight(layer))
        settings: dict[str, object] = {"seed": self._seed, **changed_since(encoding)}
        if self.layers[layer].normalization is not None and (version := free_scales_version(encoding)):
            settings["free_scales"] = version
        return self.bank.key(self._digests[layer], self.layers[layer], encoding, "data_free", settings)

    def get(self, layer: str, encoding: Encoding) -> CompressedWeight:
        """Return one compressed weight: from memory, from the bank, or compressed now and stored.

        Raises:
            CompressionError: the weight cannot be compressed in this encoding."""
        cached = self._cache.get((layer, encoding))
        if cached is not None:
            self._cache.move_to_end((layer, encoding))
            return cached
        compressed = self.bank.obtain(self.key(layer, encoding), lambda: self.build(layer, encoding))
        self._cache[layer, encoding] = compressed
        self._held += _bytes(compressed)
        while self._held > self._cache_bytes and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._held -= _bytes(dropped)
        return compressed

    def build(self, layer: str, encoding: Encoding) -> CompressedWeight:
        """Compress one layer's weight, without using the bank."""
        return compress_with_free_scales(self.float_weight(layer), self.layers[layer], encoding, self._seed)


class Assembler:
    """Copy of a model, on a device, into which the weights of one configuration after another are assembled."""

    def __init__(self, model: nn.Module, weights: LayerWeights, device: torch.device = CPU) -> None:
        self.weights = weights
        self.module = copied(model, device)
        self._current: dict[str, Encoding] = {}

    def assemble(self, configuration: Configuration) -> nn.Module:
        """Return the module with a configuration's weights; only layers whose encoding changed are copied."""
        for layer, encoding in configuration.encodings.items():
            if self._current.get(layer) == encoding:
                continue
            weight = self.weights.get(layer, encoding).effective
            self._current.pop(layer, None)
            put_layer_weight(self.module, self.weights.layers[layer], weight)
            self._current[layer] = encoding
        return self.module

    def replace(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return the float module with the weights of some layers replaced."""
        for layer in self.weights.layers:
            source = weights.get(layer, self.weights.float_weight(layer))
            put_layer_weight(self.module, self.weights.layers[layer], source)
        self._current.clear()
        return self.module

    def with_metadata(self, configuration: Configuration) -> nn.Module:
        """Return a new copy for conversion: a configuration's weights with coremltools' metadata."""
        module = copy.deepcopy(self.module)
        for layer, encoding in configuration.encodings.items():
            compressed = self.weights.get(layer, encoding)
            install(module, self.weights.layers[layer], compressed)
            take_back(module, self.weights.layers[layer], compressed.scale)
        return module


def _bytes(compressed: CompressedWeight) -> int:
    return compressed.weight.nbytes + sum(value.nbytes for value in compressed.buffers.values())
