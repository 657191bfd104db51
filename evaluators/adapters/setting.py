"""Settings of the adapter workflow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from palettune.evaluators.fine_tuning.setting import FineTuningSetting, SettingError

__all__ = ["AdapterPlacement", "AdapterSetting"]


_TUNING = FineTuningSetting(vector_steps=0, steps=200, rate=0.01, table_rate=0.03)


class AdapterPlacement(StrEnum):
    """Form in which adapters are exported."""

    MERGED = "merged"
    """Added to the layer's weight, which is then stored in its encoding again. Costs no bytes; with few bits most of the
    correction is lost to rounding, so it is kept only if held-out samples improve."""
    SEPARATE = "separate"
    """Stored as two fp16 weights beside the layer: exported as trained; their bytes are counted."""


@dataclass(frozen=True)
class AdapterSetting:
    """Rank, placement and training of adapters.

    Attributes:
        rank: of each adapter.
        placement: merged or separate.
        layers: names of the layers that get an adapter; ``None`` for all whose adapter is smaller than a quarter of
            their weight.
        tuning: settings of the training. ``steps`` is its length (``vector_steps`` is not used), ``rate`` the relative
            rate of the adapters' first matrices, ``table_rate`` that of the second, which start from zero.

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
        """Every setting that determines the result, for ``evaluation_identity``."""
        return {**asdict(self), "tuning": self.tuning.identity}
