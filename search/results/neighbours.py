"""Neighbours on a front: which of them their samples can tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.results.intervals import mean_interval
from palettune.search.study.record import Record

__all__ = ["alike_pairs", "distinct_members", "paired_interval", "paired_test", "told_apart"]


def paired_interval(first: Evaluation, second: Evaluation) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean difference of two divergences on the same samples, second less first.

    ``None`` where their samples are not the same ones, or come from fewer than eight sources.
    """
    if len(first.by_sample) != len(second.by_sample):
        return None
    return mean_interval(np.array(second.by_sample) - np.array(first.by_sample), first.groups or second.groups)


def paired_test(first: Record, second: Record) -> bool | None:
    """Return whether the divergences of two evaluations differ; ``None`` where their samples allow no test."""
    if first.evaluation is None or second.evaluation is None:
        return None
    ends = paired_interval(first.evaluation, second.evaluation)
    return None if ends is None else not ends[0] <= 0 <= ends[1]


def told_apart(first: Record, second: Record) -> bool:
    """Return whether the divergences of two evaluations differ; true as well where no test is possible."""
    return paired_test(first, second) is not False


def alike_pairs(members: Sequence[Record]) -> tuple[tuple[Record, Record], ...]:
    """Return the neighbours, smallest first, that a paired test cannot tell apart."""
    return tuple((first, second) for first, second in pairwise(members) if not told_apart(first, second))


def distinct_members(members: Sequence[Record], apart: Callable[[Record, Record], bool] = told_apart) -> list[Record]:
    """Return members, smallest first, each told apart from the one before it; both ends stay."""
    kept = list(members[:1])
    for member in members[1:]:
        if apart(kept[-1], member):
            kept.append(member)
    if members and kept[-1] is not members[-1]:  # the best of all stands for those that are like it
        kept[-1:] = [members[-1]] if len(kept) > 1 else [kept[0], members[-1]]
    return kept
