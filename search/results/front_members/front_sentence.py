"""One sentence on how far a front can be trusted: what was checked on unseen data, and which neighbours are alike."""

from __future__ import annotations

from collections import Counter

from palettune.search.results.front import Front
from palettune.search.results.intervals import FEWEST_SOURCES, sources
from palettune.search.results.verdicts import MemberVerdict

__all__ = ["front_sentence"]

_SHOWN = 6


def front_sentence(front: Front) -> str:
    """Summarize the checks on unseen data, and the neighbours that samples cannot tell apart; empty without members."""
    if not front.members:
        return ""
    return f"{_checked(front)}; {_alike(front)}."


def _checked(front: Front) -> str:
    verdicts = {record.trial: front.verdict(record) for record in front.members}
    counts = Counter(verdicts.values())
    checked = len(front) - counts[MemberVerdict.UNCHECKED]
    if not checked:
        return "No member was checked on data that the search never saw"
    said = [f"{counts[MemberVerdict.HOLDS]} hold"]
    above = [trial for trial, verdict in verdicts.items() if verdict is MemberVerdict.ABOVE]
    if above:
        said.append(f"{len(above)} lie{'s' if len(above) == 1 else ''} above {_own(above)} interval ({_trials(above)})")
    if counts[MemberVerdict.UNSURE]:
        said.append(f"{counts[MemberVerdict.UNSURE]} have too few samples for an interval")
    return f"{checked} of {len(front)} members were checked on data that the search never saw: {', '.join(said)}"


def _own(trials: list[int]) -> str:
    return "its" if len(trials) == 1 else "their"


def _alike(front: Front) -> str:
    first = front.members[0].evaluation
    assert first is not None
    samples, found = len(first.by_sample), sources(first)
    on = f"{samples} samples" + (f" of {found} sources" if found != samples else "")
    if not front.is_tested:
        metric = front.objectives.objectives[0].name
        return f"figures are from {on}, and neighbours are not tested: {metric} is known of all samples together alone"
    if found < FEWEST_SOURCES:
        return f"{on} are too few to tell neighbours apart"
    if not front.alike:
        return f"no neighbours are too alike to be told apart on {on}"
    pairs = [f"{one.trial} and {other.trial}" for one, other in front.alike]
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    which, by = ("", "") if front.comparable else (" in size", " by divergence")
    return (
        f"{len(pairs)} of {len(front) - 1} pairs of neighbours{which} cannot be told apart{by} on {on} "
        f"({', '.join(pairs[:_SHOWN])}{more})"
    )


def _trials(trials: list[int]) -> str:
    more = f" and {len(trials) - _SHOWN} more" if len(trials) > _SHOWN else ""
    return f"trial{'s' if len(trials) > 1 else ''} {', '.join(map(str, trials[:_SHOWN]))}{more}"
