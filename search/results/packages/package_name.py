"""Names of packages: they begin with what differs between the packages of one experiment."""

from __future__ import annotations

from palettune.search.study.record import Record

__all__ = ["package_name"]

_WORDS = {"data_free": "", "calibration": "calibrated", "fine_tuning": "fine_tuned"}


def package_name(record: Record, experiment: str, label: str) -> str:
    """Name a package by size, divergence and workflow: ``2.09MB_0.133_calibrated_efficientnet_lite0_trial68``.

    Args:
        label: what sets it apart from all others, such as the number of its trial.
    """
    made = record.rung or record.workflow.value
    parts = [
        f"{record.costs['size_mb']:.2f}MB",
        f"{record.evaluation.divergence:.3g}" if record.evaluation is not None else "",
        _WORDS.get(made, made),
        experiment,
        label,
    ]
    return "_".join(part for part in parts if part)
