"""Contract of a layer method: a compressed weight for one layer in one encoding, from statistics of its inputs.

``palettune.testing.layer_method_contract`` tests an implementation against it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.layer_statistics import LayerStatistics
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["LayerMethod", "LayerTask"]


@dataclass(frozen=True)
class LayerTask:
    """Input of a layer method: one layer in one encoding.

    Attributes:
        weight: the float weight.
        start: the data-free compressed weight.
        statistics: of the layer's inputs.
        importance: returns, by layer name, the mean squared gradient of each element of its weight; raises ValueError
            where no gradient reaches the layer.
        seed: of random numbers.
    """

    layer: Layer
    encoding: Encoding
    weight: Tensor
    start: CompressedWeight
    statistics: LayerStatistics
    importance: Callable[[str], Tensor]
    seed: int = 0


class LayerMethod(ABC):
    """Method that finds the compressed weight of one layer.

    The weight depends on the float model and the calibration data, never on other layers' encodings, so it is stored in
    the weight bank and used in every configuration."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Version of the results: increase it when the method returns other weights, so that stored ones are not used."""

    @classmethod
    @abstractmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Return whether the method supports this layer in this encoding."""

    @classmethod
    @abstractmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """Find the weight: representable in the encoding, with the metadata of the data-free one.

        Raises:
            CompressionError, RuntimeError, ValueError: no weight can be found; the data-free one is kept.
        """
