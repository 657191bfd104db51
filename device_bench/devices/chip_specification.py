"""Published figures of chips, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ChipFamily", "ChipSpecification"]


class ChipFamily(StrEnum):
    """Chips that share unpublished properties: call overheads and the width of the Neural Engine's memory path.

    The measured Neural Engine streams are near 60 GB/s on base chips and on the large chips up to M2, twice that on
    large chips from M3 on.
    """

    PHONE = "phone"
    BASE = "base"
    LARGE = "large"
    LARGE_WIDE = "large_wide"


@dataclass(frozen=True, slots=True)
class ChipSpecification:
    """Published figures of a chip.

    Attributes:
        name: ``A17 Pro``.
        family: its family.
        memory_gbps: memory bandwidth in GB/s.
        neural_engine_tflops: fp16 peak of one Neural Engine, or None where undisclosed.
        gpu_tflops: fp16 peak of the GPU, or None where not published.
        int8_fast_path: whether the vendor documents faster 8-bit arithmetic on the Neural Engine.
        streams_linear: whether the Neural Engine decodes integer weights while it runs, rather than at load.
        lacks: names of the processors that it does not have, ``neural_engine`` or ``gpu``.
    """

    name: str
    family: ChipFamily
    memory_gbps: float
    neural_engine_tflops: float | None
    gpu_tflops: float | None
    int8_fast_path: bool
    streams_linear: bool
    lacks: tuple[str, ...] = ()
