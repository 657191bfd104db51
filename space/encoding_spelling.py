"""Grammar of encodings: one spelling for each encoding, and its parser.

==============================  ==========================================================================
``fp16``                        not compressed
``lut4``                        16 table entries, one table per tensor
``lut4-g16``, ``lut4-g16in``    one table per 16 output (input) channels
``lut4-v2``, ``lut4-v2in``      table entries are pairs of neighbours along the output (input) axis
``lut4-int8``, ``lut4-uint8``   table entries are stored in 8 bits with one scale per table
``lut4-scaled``                 one scale per output channel
``int8``, ``uint8``             one scale per output channel, zero in the middle
``int8-asym``                   with a zero point
``int8-tensor``                 one scale per tensor
``int4-b32``, ``int4-b8x32``    one scale per 32 input channels of each (of every 8) output channels
``sparse75``                    75 % zeros
``sparse2:4``, ``sparse2:4out`` 2 zeros in every 4 neighbours along the input (output) axis
``sparse50-b4``                 4 neighbouring output channels become zero together
``sparse50-kernel``             whole kernels become zero; ``-channel``: whole output channels
``sparse50+lut4``               zeros first, what is left in a table; ``sparse50+int8`` likewise
==============================  ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from palettune.space.encoding_parts import (
    LINEAR_BITS,
    TABLE_BITS,
    VECTOR_LENGTHS,
    Axis,
    Entries,
    Granularity,
    Linear,
    Scheme,
    Sparsity,
    Table,
)
from palettune.space.errors import UserError, suggestion

__all__ = ["EncodingError", "common_spellings", "parse_sparsity", "parse_values", "spell"]

_TABLE = re.compile(r"lut(\d+)(?:-g(\d+)(in)?)?(?:-v(\d+)(in)?)?(?:-(int8|uint8))?(-scaled)?")
_LINEAR = re.compile(r"(u?)int(\d+)(-asym)?(?:-(tensor)|-b(?:(\d+)x)?(\d+))?")
_SPARSE = re.compile(r"sparse(\d+)(?:-b(\d+)|-(kernel|channel))?")
_N_OF_M = re.compile(r"sparse(\d+):(\d+)(out)?")


class EncodingError(UserError):
    """A spelling that is not an encoding."""


def spell(values: Table | Linear | None, sparsity: Sparsity | None) -> str:
    """Return the canonical spelling of an encoding made of these parts."""
    zeros = "" if sparsity is None else _spell_sparsity(sparsity)
    if values is None:
        return zeros or "fp16"
    spelling = _spell_table(values) if isinstance(values, Table) else _spell_linear(values)
    return f"{zeros}+{spelling}" if zeros else spelling


def common_spellings() -> Iterable[str]:
    """Yield representative spellings, for suggestions and documentation."""
    yield "fp16"
    for bits in TABLE_BITS:
        yield from (f"lut{bits}{tail}" for tail in ("", "-g16", "-g32", "-g16in", "-v2", "-int8", "-scaled"))
    for kind in ("int8", "uint8", "int4", "uint4"):
        yield from (f"{kind}{tail}" for tail in ("", "-asym", "-tensor", "-b32", "-b64", "-b8x32", "-asym-b32"))
    yield from ("sparse50", "sparse75", "sparse2:4", "sparse50-b4", "sparse50-kernel", "sparse50-channel")
    yield from ("sparse50+lut4", "sparse75+lut4", "sparse50+int8", "sparse75+int8")


def parse_values(part: str, text: str) -> Table | Linear | None:
    """Read how values are stored; None for fp16. ``text`` is the whole spelling, for messages."""
    if part == "fp16":
        return None
    if match := _TABLE.fullmatch(part):
        return _table(match, text)
    if match := _LINEAR.fullmatch(part):
        return _linear(match, text)
    raise EncodingError(f"{text!r} is not an encoding{suggestion(text, common_spellings())}")


def _table(match: re.Match[str], text: str) -> Table:
    bits, group, group_in, vector, vector_in, entries, scaled = match.groups()
    _one_of(int(bits), TABLE_BITS, "bits of a table", text)
    if group is not None and vector is not None and group_in != vector_in:
        raise EncodingError(f"encoding {text!r}: groups and vectors must run along the same axis")
    if vector is not None:
        _one_of(int(vector), VECTOR_LENGTHS, "length of a vector", text)
    wanted = [f"-v{vector}" if int(vector or 1) > 1 else "", f"-{entries}" if entries else "", scaled or ""]
    if sum(map(bool, wanted)) > 1:
        both = "' and '".join(filter(None, wanted))
        raise EncodingError(f"encoding {text!r}: coremltools converts no table with both '{both}'; drop one")
    axis = Axis.INPUT if group_in or vector_in else Axis.OUTPUT
    return Table(
        int(bits),
        _positive(group, "group size", text),
        axis,
        int(vector or 1),
        Entries(entries or "fp16"),
        bool(scaled),
    )


def _linear(match: re.Match[str], text: str) -> Linear:
    unsigned, bits, asymmetric, tensor, rows, block = match.groups()
    _one_of(int(bits), LINEAR_BITS, "bits of an integer", text)
    granularity = Granularity.TENSOR if tensor else Granularity.BLOCK if block else Granularity.CHANNEL
    scheme = Scheme.ASYMMETRIC if asymmetric else Scheme.SYMMETRIC
    if rows == "1":
        raise EncodingError(f"encoding {text!r}: blocks of one output channel are written '-b{block}'")
    height = _positive(rows, "block size", text) or 1
    return Linear(int(bits), not unsigned, scheme, granularity, _positive(block, "block size", text), height)


def parse_sparsity(part: str, text: str) -> Sparsity:
    """Read which values become zero. ``text`` is the whole spelling, for messages."""
    if match := _N_OF_M.fullmatch(part):
        n, m = int(match[1]), int(match[2])
        if not 0 < n < m:
            raise EncodingError(f"encoding {text!r}: n:m means n zeros in every m; expected 0 < n < m")
        return Sparsity(n_of_m=(n, m), axis=Axis.OUTPUT if match[3] else Axis.INPUT)
    if match := _SPARSE.fullmatch(part):
        percent = int(match[1])
        if not 0 < percent < 100:
            raise EncodingError(f"encoding {text!r}: the share of zeros is in percent, between 1 and 99")
        block = _positive(match[2], "block size", text)
        if block == 1:
            raise EncodingError(f"encoding {text!r}: a block holds at least 2 channels; drop '-b1'")
        granularity = Granularity.BLOCK if block else Granularity(match[3] or "scalar")
        return Sparsity(percent, granularity=granularity, block=block)
    raise EncodingError(f"{text!r} is not an encoding{suggestion(text, common_spellings())}")


def _positive(number: str | None, what: str, text: str) -> int | None:
    if number is None:
        return None
    if int(number) < 1:
        raise EncodingError(f"encoding {text!r}: the {what} must be at least 1")
    return int(number)


def _one_of(number: int, known: tuple[int, ...], what: str, text: str) -> None:
    if number not in known:
        raise EncodingError(f"encoding {text!r}: the {what} must be one of {', '.join(map(str, known))}")


def _spell_table(table: Table) -> str:
    suffix = "in" if table.axis is Axis.INPUT else ""
    group = f"-g{table.group}{suffix}" if table.group is not None else ""
    vector = f"-v{table.vector}{suffix}" if table.vector > 1 else ""
    entries = "" if table.entries is Entries.FP16 else f"-{table.entries}"
    return f"lut{table.bits}{group}{vector}{entries}{'-scaled' if table.scaled else ''}"


def _spell_linear(linear: Linear) -> str:
    scheme = "-asym" if linear.scheme is Scheme.ASYMMETRIC else ""
    block = f"-b{linear.rows}x{linear.block}" if linear.rows > 1 else f"-b{linear.block}"
    grain = {Granularity.TENSOR: "-tensor", Granularity.BLOCK: block}.get(linear.granularity, "")
    return f"{'' if linear.signed else 'u'}int{linear.bits}{scheme}{grain}"


def _spell_sparsity(sparsity: Sparsity) -> str:
    if sparsity.n_of_m is not None:
        return f"sparse{sparsity.n_of_m[0]}:{sparsity.n_of_m[1]}{'out' if sparsity.axis is Axis.OUTPUT else ''}"
    grain = {Granularity.BLOCK: f"-b{sparsity.block}", Granularity.SCALAR: ""}
    return f"sparse{sparsity.percent}{grain.get(sparsity.granularity, f'-{sparsity.granularity}')}"
