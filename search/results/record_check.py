"""Comparison of a package's figures with its own record.

A record is measured in float32, by torch, with compressed weights and everything else as it was. The package holds all
of that in fp16. So its divergence in float32 may differ from the record by what such rounding does, and no more; how
much that is, is measured: the divergence of the float model itself once its floats are rounded to fp16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from palettune.search.results.formatting import digits
from palettune.search.results.packages.package_record import PackageRecord

__all__ = ["Found", "Verdict", "judged", "tolerance"]

_RELATIVE, _ROUNDINGS, _FLOOR = 0.1, 3.0, 1e-6
#: Shares of the divergence of a constant output that computing in fp16 may add: above the first it is said, above the
#: second it is wrong.
_NOTABLE, _FAR = 1e-3, 1e-2


@dataclass(frozen=True)
class Found:
    """Figures of a package on the evaluation data.

    Attributes:
        float32: its divergence, computed in float32; None where that is not finite.
        fp16: as it computes; None where that is not finite.
        halves: whether it computes in fp16 at all.
        rounding: divergence of the float model with its floats rounded to fp16.
        chance: divergence of a constant output.
        samples: how many were run.
        total: how many there are.
        kind: which divergence.
        data: digest of the evaluation data.
        model: digest of the float model.
        weights: digest of the package's weight file.
    """

    float32: float | None
    fp16: float | None
    halves: bool
    rounding: float
    chance: float
    samples: int
    total: int
    kind: str
    data: str
    model: str
    weights: str


@dataclass
class Verdict:
    """Problems and notes from a comparison with the package's record.

    Attributes:
        claimed: the recorded divergence that it was compared with; None where none could be.
        tolerance: by how much it may differ.
        problems: each a reason to fail.
        notes: the rest.
    """

    claimed: float | None = None
    tolerance: float | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tolerance(claimed: float, rounding: float) -> float:
    """Return by how much the divergence in float32 may differ from a record.

    A tenth of it; or three times what rounding alone does, and what rounding adds to an error that is there already
    (the cross term of a square); or a millionth.
    """
    return max(_RELATIVE * claimed, _ROUNDINGS * rounding + 2 * math.sqrt(claimed * rounding), _FLOOR)


def judged(found: Found, record: PackageRecord) -> Verdict:
    """Compare what was found with a record, and with itself in the other precision."""
    verdict = Verdict()
    if found.float32 is None:
        verdict.problems.append("its outputs are not finite, computed in float32")
    if found.halves and found.fp16 is None:
        verdict.problems.append("its outputs are not finite in fp16, in which it computes")
    if found.samples < found.total:
        verdict.notes.append(f"{found.samples} of {found.total} samples fit the package's shapes; only these were run")
    _judge_half(found, verdict)
    _judge_record(found, record, verdict)
    return verdict


def _judge_half(found: Found, verdict: Verdict) -> None:
    if found.float32 is None or found.fp16 is None:
        return
    added = found.fp16 - found.float32
    if added > max(_FAR * found.chance, found.float32, 10 * found.rounding):
        verdict.problems.append(
            f"its divergence is {digits(found.fp16)} in fp16, in which it computes, and {digits(found.float32)} in "
            "float32: too much is lost to rounding or overflow"
        )
    elif added > _NOTABLE * found.chance:
        verdict.notes.append(f"computing in fp16 adds {digits(added)} to its divergence")


def _judge_record(found: Found, record: PackageRecord, verdict: Verdict) -> None:
    if record.weights is not None and record.weights != found.weights:
        verdict.problems.append("its weight file is not the one that was exported: it was changed or damaged since")
    if record.divergence is None:
        verdict.notes.append("the package has no record of its divergence; there is nothing to compare with")
        return
    if record.kind not in (None, found.kind):
        verdict.notes.append(f"its record is a {record.kind} divergence, not {found.kind}: they are not compared")
        return
    if record.data not in (None, found.data):
        verdict.claimed = record.divergence
        verdict.notes.append(
            "its record was measured on other data than evaluation_data() gives: they are not compared"
        )
        return
    claimed = record.divergence if found.samples == found.total else record.fitting
    if claimed is None:
        verdict.notes.append("its record is of all samples, not of those that fit: they are not compared")
        return
    verdict.claimed, verdict.tolerance = claimed, tolerance(claimed, found.rounding)
    if found.float32 is not None and abs(found.float32 - claimed) > verdict.tolerance:
        other = record.model not in (None, found.model)
        hint = "; model() gives other weights than those that it was exported from" if other else ""
        verdict.problems.append(
            f"its divergence in float32 is {digits(found.float32)}, its own record says {digits(claimed)} "
            f"(at most {digits(verdict.tolerance)} apart is what rounding explains){hint}"
        )
    elif record.model not in (None, found.model):
        verdict.notes.append("model() gives other weights than those that it was exported from")
