"""The verdict on a member: whether what the search saw of it holds on data that the search never saw."""

from __future__ import annotations

from enum import StrEnum

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.results.intervals import interval

__all__ = ["MemberVerdict", "member_verdict"]


class MemberVerdict(StrEnum):
    """Verdict of the check on unseen data, in words."""

    HOLDS = "holds"
    ABOVE = "above its interval"
    UNCHECKED = "not checked"
    UNSURE = "too few samples"


def member_verdict(seen: Evaluation, unseen: Evaluation | None) -> MemberVerdict:
    """Compare the divergence on unseen data with the 95 % interval of that on the evaluation data.

    Args:
        unseen: the same model on data that the search never saw; ``None`` where it was not measured.
    """
    if unseen is None:
        return MemberVerdict.UNCHECKED
    ends = interval(seen)
    if ends is None:
        return MemberVerdict.UNSURE
    return MemberVerdict.ABOVE if unseen.divergence > ends[1] else MemberVerdict.HOLDS
