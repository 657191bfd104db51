"""Checks of a search and of its packages, for the page."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import numpy as np

from palettune.search.results.escalation_gains import RungGain, rung_gains
from palettune.search.review.exported_packages import exported_packages
from palettune.search.review.figures import figure
from palettune.search.review.review_source import ReviewSource
from palettune.search.study.record import Record

__all__ = ["check_rows", "escalation_rows"]


def check_rows(source: ReviewSource) -> dict[str, Any]:
    """Return rows of coverage, weights that stay as they are, proofs of exported packages, and notes."""
    packages = exported_packages(source.folder.exported)
    proofs = [
        {
            "package": package.package,
            "path": shlex.quote(package.path),
            "trial": package.trial,
            "passed": package.passed,
            "words": package.words,
            "coverage": figure(package.coverage),
        }
        for package in packages
        if package.search_id == source.context.search_id
    ]
    return {
        "coverage": figure(source.facts.coverage),
        "uncompressed": [asdict(item) for item in source.facts.uncompressed],
        "proofs": proofs,
        "notes": list(dict.fromkeys((*source.notes, *source.facts.notes))),
    }


def escalation_rows(source: ReviewSource) -> list[dict[str, Any]]:
    """Return the gain of each rung, in figures and in a sentence."""
    trials = [record for record in source.records if record.escalated_from is None]
    escalated = [record for record in source.records if record.escalated_from is not None]
    return [
        {
            "rung": gain.rung,
            "evaluations": len(gain.pairs),
            "mean_gain": figure(_share(gain)),
            "pays": gain.pays,
            "words": _words(gain),
        }
        for gain in rung_gains(trials, escalated, source.front.objectives)
    ]


def _share(gain: RungGain) -> float | None:
    """Share of the divergence that was taken away: one less the geometric mean of what was left of it."""
    left = [_divergence(after) / _divergence(before) for before, after in gain.pairs if _divergence(before) > 0]
    if not left or min(left) <= 0:
        return None
    return 1.0 - float(np.exp(np.mean(np.log(left))))


def _words(gain: RungGain) -> str:
    count, share = len(gain.pairs), _share(gain)
    taken = "" if share is None else f", which took away {share:.0%} of the divergence on average"
    before, after = f"{gain.before:.3g}", f"{gain.after:.3g}"
    grown = f"the hypervolume grew from {before} to {after}" if before != after else "the front did not grow"
    verdict = {True: "it pays", False: "more of it hardly pays", None: "too few to tell whether it pays"}[gain.pays]
    return f"{count} evaluation{'s' if count != 1 else ''}{taken}; {grown}: {verdict}"


def _divergence(record: Record) -> float:
    assert record.evaluation is not None
    return record.evaluation.divergence
