"""A study at a glance, read without its experiment: how much was evaluated, and what its front reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from palettune.search.experiment.objectives import non_dominated
from palettune.search.study.record_codec import CONSTRAINTS, ESCALATED_FROM

__all__ = ["StudySummary", "study_summary"]


@dataclass(frozen=True)
class StudySummary:
    """Numbers of trials and the front of a study.

    Attributes:
        evaluations: data-free trials that were evaluated.
        escalations: evaluations under a dearer workflow.
        unfinished: trials begun, or waiting to be.
        front: size in 10^6 bytes and divergence of each member, by what was predicted where latency is a cost.
    """

    evaluations: int
    escalations: int
    unfinished: int
    front: tuple[tuple[float | None, float], ...]


def study_summary(storage: BaseStorage, name: str) -> StudySummary | None:
    """Summarize the study of a name; ``None`` where there is none."""
    if name not in optuna.get_all_study_names(storage):
        return None
    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    done = [t for t in trials if t.state is TrialState.COMPLETE and "evaluation" in t.user_attrs]
    signs = [-1.0 if direction is optuna.study.StudyDirection.MAXIMIZE else 1.0 for direction in study.directions]
    escalated = sum(ESCALATED_FROM in trial.user_attrs for trial in done)
    unfinished = sum(not trial.state.is_finished() for trial in trials)
    return StudySummary(len(done) - escalated, escalated, unfinished, _front(done, signs))


def _front(done: Sequence[FrozenTrial], signs: Sequence[float]) -> tuple[tuple[float | None, float], ...]:
    met = [t for t in done if all(violation <= 0 for violation in t.user_attrs.get(CONSTRAINTS, ()))]
    if not met:
        return ()
    losses = np.array([trial.values for trial in met]) * signs
    members = [trial.user_attrs for trial, keep in zip(met, non_dominated(losses), strict=True) if keep]
    return tuple((m.get("costs", {}).get("size_mb"), m["evaluation"]["divergence"]) for m in members)
