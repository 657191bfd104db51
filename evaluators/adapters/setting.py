"""How large adapters are, and what becomes of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from palettune.evaluators.fine_tuning.setting import FineTuningSetting, SettingError

__all__ = ["AdapterPlacement", "AdapterSetting"]


_TUNING = FineTuningSetting(vector_steps=0, steps=200, rate=0.01, table_rate=0.03)


class AdapterPlacement(StrEnum):
    """What becomes of adapters at export."""

    MERGED = "merged"
    """Added to the float weight of their layer, which takes its encoding again: no bytes, but most of what a low-bit
    encoding cannot hold is lost, so it is kept only where it gains all the same."""
    SEPARATE = "separate"
    """Two more weights in fp16 beside each layer: what was trained is what is exported, for bytes that are counted."""


@dataclass(frozen=True)
class AdapterSetting:
    """Rank, placement and training.

    Attributes:
        rank: of each branch.
        placement: merged or separate.
        layers: the layers that get a branch; ``None`` for all whose branch would be less than a quarter of their weight.
        tuning: steps (``steps`` alone counts), ``rate`` of the branches' first weights, relative to their size, and
            ``table_rate`` of the second, which start from zero, in tenths of one; accumulation and the like.

    Raises:
        SettingError: a rank below one.
    """

    rank: int = 4
    placement: AdapterPlacement = AdapterPlacement.SEPARATE
    layers: tuple[str, ...] | None = None
    tuning: FineTuningSetting = _TUNING

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise SettingError(f"adapters: rank = {self.rank}; expected at least 1")

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the result."""
        return {**asdict(self), "tuning": self.tuning.identity}
