"""Escalations of studies from before they were trials: user attributes of the study, numbered from 100000."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.study.escalation import Escalation, EscalationResult
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration

__all__ = ["former_escalations"]

_PREFIX, _FIRST_NUMBER = "climb:", 100_000


def former_escalations(attributes: Mapping[str, Any], records: Callable[[], Mapping[int, Record]]) -> list[Escalation]:
    """Read the escalations that had their result, in the order in which they were decided; others are decided again.

    Args:
        attributes: user attributes of the study.
        records: gives the data-free records, by trial.
    """
    rows = {int(key.removeprefix(_PREFIX)): value for key, value in attributes.items() if key.startswith(_PREFIX)}
    if not rows:
        return []
    configurations = {trial: (record.configuration, record.costs) for trial, record in records().items()}
    found = []
    for number in sorted(rows):
        values = rows[number]
        result = _result(values)
        if result is None or values["source"] not in configurations:
            continue
        configuration, costs = configurations[values["source"]]
        rounded = values.get("configuration")
        if rounded is not None:
            configuration, costs = Configuration.from_json(rounded), values["costs"]
        workflow = Workflow(values["workflow"])
        rung = "int8_activations" if rounded is not None else workflow
        trial, (began, ended) = _FIRST_NUMBER + number, values["span"]
        source = values["source"]
        found.append(
            Escalation(trial, rung, workflow, source, configuration, costs, None, result, (began, ended), ended)
        )
        configurations[trial] = (configuration, result.costs(costs) if isinstance(result, EscalationResult) else costs)
    return found


def _result(values: Mapping[str, Any]) -> EscalationResult | Failure | None:
    if "failure" in values:
        return Failure.from_json(values["failure"])
    if "evaluation" not in values:
        return None
    gains = tuple(Gain.from_json(gain) for gain in values["gains"])
    evaluation = Evaluation.from_json(values["evaluation"])
    return EscalationResult(evaluation, values["state"], gains, tuple(values["notes"]), values.get("added_bytes", 0))
