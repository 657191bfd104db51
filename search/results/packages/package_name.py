"""Names of packages: they begin with what differs between the packages of one experiment."""

from __future__ import annotations

import re

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.result_words import result_words
from palettune.search.study.record import Record

__all__ = ["package_name"]


def package_name(record: Record, experiment: str, label: str) -> str:
    """Name a package by size, divergence and workflow: ``2.09MB_0.133_calibrated_efficientnet_lite0_trial68``.

    Args:
        label: what sets it apart from all others, such as the number of its trial.
    """
    data_free = record.workflow == Workflow.DATA_FREE and record.rung is None
    parts = [
        f"{record.costs['size_mb']:.2f}MB",
        f"{record.evaluation.divergence:.3g}" if record.evaluation is not None else "",
        "" if data_free else re.sub(r"\W", "_", result_words(record.workflow, record.rung)),
        experiment,
        label,
    ]
    return "_".join(part for part in parts if part)
