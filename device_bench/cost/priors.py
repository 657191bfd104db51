"""Priors of the latency fit, per compute unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from palettune.device_bench.devices.chip_specification import ChipFamily
from palettune.device_bench.devices.unit import Unit

__all__ = ["CHIP_DEVIATION", "GPU_DEFAULT_TFLOPS", "NEURAL_ENGINE_DEFAULT_TFLOPS", "Beliefs", "Prior", "priors"]

CHIP_DEVIATION = 0.20
NEURAL_ENGINE_DEFAULT_TFLOPS = 17.5
"""Of a chip whose peak is undisclosed: that of the newest phone chip whose peak is published."""
GPU_DEFAULT_TFLOPS = {ChipFamily.PHONE: 2.2, ChipFamily.BASE: 3.6, ChipFamily.LARGE: 10.0, ChipFamily.LARGE_WIDE: 14.0}
"""Of a chip whose GPU is not published: its family's usual."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Log-normal prior: ``center`` times or divided by ``exp(spread)``; a spread of 0 is a constant."""

    center: float
    spread: float

    def at(self, deviations: float) -> float:
        """Return the value at a number of standard deviations from the centre."""
        return self.center * math.exp(self.spread * deviations)


_UNUSED = Prior(1e9, 0.0)

_NEURAL_ENGINE = {
    "conv_fraction": Prior(0.5, 0.5),
    "linear_fraction": Prior(0.5, 0.5),
    "matmul_fraction": Prior(0.3, 0.7),
    "depthwise_fraction": Prior(0.05, 1.0),
    "int8_gain": Prior(1.9, 0.1),
    "int8_gain_slow": Prior(1.4, 0.3),
    "memory_share": Prior(0.9, 0.2),
    "activation_gbps": Prior(60.0, 0.6),
    "activation_exponent": Prior(0.3, 0.5),
    "softmax_passes": Prior(3.0, 0.5),
    "on_chip_mb": Prior(2.0, 0.7),
    "gweights": Prior(150.0, 0.4),
    "decode_gweights": _UNUSED,
    "group_tmacs": Prior(1.5, 0.7),
    "zero_skip": Prior(0.6, 0.3),
    "resident_gb": Prior(2.0, 0.2),
    "excess_cost": Prior(2.0, 0.5),
    "sharpness": Prior(3.0, 0.3),
    "overlap": Prior(3.0, 0.3),
}

_GPU = {
    **_NEURAL_ENGINE,
    "conv_fraction": Prior(0.6, 0.4),
    "linear_fraction": Prior(0.6, 0.4),
    "matmul_fraction": Prior(0.4, 0.5),
    "int8_gain": Prior(1.0, 0.0),
    "int8_gain_slow": Prior(1.0, 0.0),
    "memory_share": Prior(0.7, 0.2),
    "activation_exponent": Prior(1.0, 0.0),
    "softmax_passes": Prior(2.0, 0.5),
    "gweights": _UNUSED,
    "decode_gweights": Prior(400.0, 0.7),
    "group_tmacs": _UNUSED,
    "zero_skip": Prior(1e-9, 0.0),
    "excess_cost": Prior(1.0, 0.0),
}

_CPU = {
    **_GPU,
    "cpu_tmacs": Prior(0.6, 0.6),
    "memory_share": Prior(0.6, 0.3),
    "activation_exponent": Prior(0.3, 0.0),
    "decode_gweights": _UNUSED,
}


Beliefs = tuple[Mapping[str, Prior], Mapping[str, Mapping[ChipFamily, Prior]]]
"""Priors shared by all chips, and those of each family."""


def _same(prior: Prior) -> Mapping[ChipFamily, Prior]:
    return dict.fromkeys(ChipFamily, prior)


def priors(unit: Unit) -> Beliefs:
    """Return a unit's priors: those shared by all chips, and those of each family.

    ``link_gbps`` is the width of the unit's own path to memory, ``floor_ms`` the time of an empty call, ``host_ms``
    that of a detour over the CPU.
    """
    call = {**_same(Prior(0.15, 0.5)), ChipFamily.PHONE: Prior(0.07, 0.5)}
    if unit is Unit.NEURAL_ENGINE:
        host = {**_same(Prior(0.25, 0.5)), ChipFamily.PHONE: Prior(0.15, 0.5)}
        return _NEURAL_ENGINE, _families(_same(Prior(80.0, 0.4)), call, host, Prior(1.0, 0.7))
    if unit is Unit.GPU:
        call = {**_same(Prior(0.3, 0.5)), ChipFamily.PHONE: Prior(0.2, 0.5)}
        return _GPU, _families(_same(_UNUSED), call, _same(Prior(0.2, 0.5)), Prior(8.0, 0.7))
    link = _same(Prior(100.0, 0.3))
    return _CPU, _families(link, _same(Prior(0.05, 0.5)), _same(Prior(0.1, 1.0)), Prior(2.0, 0.8))


def _families(
    link: Mapping[ChipFamily, Prior], call: Mapping[ChipFamily, Prior], host: Mapping[ChipFamily, Prior], op: Prior
) -> Mapping[str, Mapping[ChipFamily, Prior]]:
    return {"link_gbps": link, "floor_ms": call, "host_ms": host, "op_us": _same(op)}
