"""Time of one op on one compute unit.

An op takes as long as its slowest resource: arithmetic, weight streaming, weight decoding or activation traffic (the
roofline of https://doi.org/10.1145/1498765.1498785, with a smooth maximum), and a fixed share for being an op at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.cost.op_table import OpTable

__all__ = ["UnitParameters", "combined", "op_milliseconds"]

_KINDS = list(OpKind)


@dataclass(frozen=True, slots=True)
class UnitParameters:
    """Parameters of one compute unit; each a float, or an array with one value for each op.

    Attributes:
        peak_tmacs: peak fp16 multiply-accumulates per second, in 10^12.
        conv_fraction: achieved share of the peak in convolutions.
        linear_fraction: the same in linear layers.
        matmul_fraction: the same in products of two activations.
        depthwise_fraction: the same in depthwise convolutions.
        int8_gain: how much faster 8-bit weights and activations compute.
        stream_gbps: weight bytes per second, in 10^9.
        activation_gbps: activation bytes per second, in 10^9, for tensors that do not fit on the chip.
        softmax_passes: how often an attention matrix is moved by a softmax, relative to reading and writing it once.
        on_chip_mb: tensor size at which half of the traffic leaves the chip.
        gweights: weight elements per second that the arithmetic takes, in 10^9, whatever their encoding.
        decode_gweights: weight elements per second decoded from tables or scales, in 10^9.
        group_tmacs: multiply-accumulates per second and output channel under its own table, in 10^12.
        zero_skip: share of the arithmetic saved as zeros approach the whole weight.
        op_us: fixed time of one op, in microseconds.
        sharpness: exponent of the smooth maximum over the resources of one op.
    """

    peak_tmacs: Any
    conv_fraction: Any
    linear_fraction: Any
    matmul_fraction: Any
    depthwise_fraction: Any
    int8_gain: Any
    stream_gbps: Any
    activation_gbps: Any
    softmax_passes: Any
    on_chip_mb: Any
    gweights: Any
    decode_gweights: Any
    group_tmacs: Any
    zero_skip: Any
    op_us: Any
    sharpness: Any


def op_milliseconds(table: OpTable, unit: UnitParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the milliseconds that each row of a table, its count included, occupies the processor and fetches weights.

    Zeros speed up arithmetic as their share to the power of three: the published rows show little below 75 % and much
    at 90 %.
    """
    kept = 1 - unit.zero_skip * table.zeros**3
    gain = np.where(table.int8 > 0, unit.int8_gain, 1.0)
    compute = table.macs * kept / (unit.peak_tmacs * 1e9 * _fraction(table, unit) * gain)
    grouped = table.macs / (unit.group_tmacs * 1e9 * table.table_channels)
    take = table.weight_elements / (unit.gweights * 1e6) + table.decoded / (unit.decode_gweights * 1e6)
    moved = _traffic(table, unit) / (unit.activation_gbps * 1e6)
    p = unit.sharpness
    busy = (compute**p + grouped**p + take**p + moved**p) ** (1 / p) + unit.op_us / 1e3
    streaming = table.weight_bytes / (unit.stream_gbps * 1e6)
    return np.asarray(table.count * busy), np.asarray(table.count * streaming)


def combined(busy: Any, stream: Any, sharpness: Any) -> Any:
    """Return a program's milliseconds: weights are fetched while earlier ops compute, so the larger sum dominates."""
    return (busy**sharpness + stream**sharpness) ** (1 / sharpness)


def _fraction(table: OpTable, unit: UnitParameters) -> NDArray[np.float64]:
    choices = {
        OpKind.CONV: unit.conv_fraction,
        OpKind.DEPTHWISE: unit.depthwise_fraction,
        OpKind.MATMUL: unit.matmul_fraction,
    }
    fraction: NDArray[np.float64] = np.zeros(len(table)) + unit.linear_fraction
    for kind, value in choices.items():
        fraction = np.where(table.kind == _KINDS.index(kind), value, fraction)
    return fraction


def _traffic(table: OpTable, unit: UnitParameters) -> NDArray[np.float64]:
    """Bytes that leave the chip: small tensors mostly stay."""
    passes = np.where(table.kind == _KINDS.index(OpKind.SOFTMAX), unit.softmax_passes, 1.0)
    limit = unit.on_chip_mb * 1e6
    return np.asarray(table.activation_bytes * passes * table.largest_bytes / (table.largest_bytes + limit))
