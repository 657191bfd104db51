"""The contract of a layer method: a better weight for one layer in one encoding, from what is known of its inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from palettune.device_bench.conversion.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.layer_statistics import LayerStatistics
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["LayerMethod", "LayerTask"]


@dataclass(frozen=True)
class LayerTask:
    """One layer and encoding to find a weight for.

    Attributes:
        weight: the float weight.
        start: the data-free compressed weight.
        statistics: of the layer's inputs.
        importance: gives, by layer name, the mean square of the gradient of each element of its weight; raises
            ValueError where gradients are not to be had.
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
    """Finds a compressed weight. It depends on the float model alone, never on other layers' encodings: so it is kept
    in the weight bank and serves every configuration."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Counts changes that give other weights: what the bank holds of an earlier one is not used."""

    @classmethod
    @abstractmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Whether the method knows this kind of layer and encoding."""

    @classmethod
    @abstractmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """The weight, as exactly representable in the encoding as a data-free one.

        Raises:
            CompressionError, RuntimeError: where none can be found; the data-free weight stays.
        """
