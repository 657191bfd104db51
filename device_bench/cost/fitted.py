"""The shipped fit: parameters shared by chips, with prediction errors on held-out sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from palettune.device_bench.cost.fit import Fit
from palettune.device_bench.devices.chip_specification import ChipFamily, ChipSpecification
from palettune.device_bench.devices.unit import Unit

__all__ = ["FittedModel", "Spread", "fitted_model", "parameters"]

_FILE = "fit.json"


@dataclass(frozen=True, slots=True)
class Spread:
    """Half widths of the 80 % interval, in log: of a latency, and of a latency ratio within a program.

    Both are the 80 % quantile of the deviations found when each published source is left out in turn.
    """

    level: float
    ratio: float


@dataclass(frozen=True)
class FittedModel:
    """A fit and a spread for each compute unit."""

    fits: Mapping[Unit, Fit]
    spreads: Mapping[Unit, Spread]

    def to_json(self) -> str:
        """Return JSON that ``from_json`` reads."""
        content = {
            unit.value: {
                "common": dict(fit.common),
                "families": {family.value: dict(values) for family, values in fit.families.items()},
                "chips": {chip: dict(values) for chip, values in fit.chips.items()},
                "spread": {"level": self.spreads[unit].level, "ratio": self.spreads[unit].ratio},
            }
            for unit, fit in self.fits.items()
        }
        return json.dumps(_rounded(content), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> FittedModel:
        """Read the JSON of ``to_json``."""
        fits, spreads = {}, {}
        for name, values in json.loads(text).items():
            unit = Unit(name)
            families = {ChipFamily(family): found for family, found in values["families"].items()}
            fits[unit] = Fit(unit, values["common"], families, values["chips"])
            spreads[unit] = Spread(**values["spread"])
        return cls(fits, spreads)


@cache
def fitted_model() -> FittedModel:
    """Return the fit that ships with the package."""
    return FittedModel.from_json((resources.files("palettune.device_bench.devices") / _FILE).read_text("utf-8"))


def parameters(unit: Unit, chip: ChipSpecification) -> dict[str, float]:
    """Return every parameter of a compute unit on a chip, from the chip's file or else from its family's fit."""
    from palettune.device_bench.devices import chip_files

    file = chip_files().get(chip.name)
    if file is not None and unit in file.units:
        return {name: float(sourced.value) for name, sourced in file.units[unit].items()}
    return fitted_model().fits[unit].values(chip)


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return float(f"{content:.5g}")
