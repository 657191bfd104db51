"""Figures and configurations as short text."""

from __future__ import annotations

from collections import Counter

from palettune.space.configuration import Configuration

__all__ = ["digits", "encoding_summary"]


def digits(value: float | None) -> str:
    """Format a number with four decimals, or three digits where it is very small or large."""
    if value is None:
        return "-"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def encoding_summary(configuration: Configuration, most: int = 4) -> str:
    """Count the layers of each encoding, the most frequent first, and the inputs in 8 bits.

    As in ``23 lut4  17 int8  10 lut3, 17 inputs in 8 bits``.
    """
    counts = Counter(str(encoding) for encoding in configuration.encodings.values()).most_common()
    shown = "  ".join(f"{count} {name}" for name, count in counts[:most])
    rest = sum(count for _, count in counts[most:])
    rounded = len(configuration.activations)
    return f"{shown}{f'  +{rest}' if rest else ''}{f', {rounded} inputs in 8 bits' if rounded else ''}"
