"""The codec of records: results as user attributes of Optuna's trials, and records back from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.library_internals import set_constraints
from palettune.search.study.escalation import Escalation, EscalationResult
from palettune.search.study.record import Record, Result
from palettune.space.configuration import Configuration, Precision
from palettune.space.search_space import SearchSpace

__all__ = [
    "ADDED",
    "CONFIGURATION",
    "CONSTRAINTS",
    "ESCALATED_FROM",
    "asked_escalation",
    "attributes_of",
    "attributes_of_escalation",
    "configuration_of",
    "escalation_of",
    "keep_violations",
    "long_values_of",
    "record_of",
    "record_of_escalation",
    "result_of",
]

ADDED = "added"
"""The trial attribute that tells what somebody added from what the search decided itself."""
CONFIGURATION = "configuration"
"""The trial attribute that holds a configuration outside the search space, as JSON."""
CONSTRAINTS = "constraints"
"""The trial attribute that holds constraint violations; at most 0 is met."""
ESCALATED_FROM = "escalated_from"
"""The trial attribute that tells an escalation from what a sampler proposed."""
_SAMPLES, _GAINS = "by_sample", "gains"

Lookup = Callable[[], Mapping[str, Any]]
"""Gives the long values of a result, by name."""


def attributes_of(result: Result | EscalationResult, span: tuple[float, float]) -> dict[str, Any]:
    """Encode a result as user attributes, without its long values; the last one tells that the result is complete."""
    found: dict[str, Any] = {"span": list(span)}
    if isinstance(result, EscalationResult):
        whole = [gain.to_json() for gain in result.gains if gain.layer is None]
        found |= {"state": result.state, _GAINS: whole, "notes": list(result.notes)}
        found["added_bytes"] = result.added_bytes
        result = result.evaluation
    if isinstance(result, Evaluation):
        return found | {"evaluation": {key: value for key, value in result.to_json().items() if key != _SAMPLES}}
    found["status_reason"] = str(result)
    return found | ({"failure": result.to_json()} if isinstance(result, Failure) else {"screened": asdict(result)})


def long_values_of(result: Result | EscalationResult) -> dict[str, list[Any]]:
    """Return what is too long for an attribute: the divergence of each sample, the gain of each method and layer.

    To be written before ``attributes_of`` the result.
    """
    found: dict[str, list[Any]] = {}
    if isinstance(result, EscalationResult):
        found[_GAINS] = [gain.to_json() for gain in result.gains]
        result = result.evaluation
    return found | ({_SAMPLES: list(result.by_sample)} if isinstance(result, Evaluation) else {})


def result_of(attributes: Mapping[str, Any], long_values: Lookup = dict) -> Result | EscalationResult | None:
    """Decode what ``attributes_of`` and ``long_values_of`` encoded; ``None`` where no result is there yet.

    Args:
        long_values: gives the latter; not asked where the attributes hold everything, as they once did.
    """
    if "screened" in attributes:
        return Screened(**attributes["screened"])
    if "failure" in attributes:
        return Failure.from_json(attributes["failure"])
    if "evaluation" not in attributes:
        return None
    values = dict(attributes["evaluation"])
    beside = {} if _SAMPLES in values else long_values()
    evaluation = Evaluation.from_json({_SAMPLES: beside.get(_SAMPLES, ())} | values)
    if "state" not in attributes:
        return evaluation
    gains = tuple(Gain.from_json(gain) for gain in beside.get(_GAINS, attributes.get(_GAINS, ())))
    return EscalationResult(
        evaluation, attributes["state"], gains, tuple(attributes["notes"]), attributes["added_bytes"]
    )


def keep_violations(storage: BaseStorage, trial_id: int, violations: Mapping[str, float]) -> None:
    """Write what constraints a trial breaks, before it is told: for samplers, and as Optuna's own constraints.

    Args:
        violations: by key of the experiment; at most 0 where it is met. Empty without constraints.
    """
    if not violations:  # GP and others take a trial without any for one of an unconstrained study
        return
    storage.set_trial_user_attr(trial_id, CONSTRAINTS, list(violations.values()))
    set_constraints(storage, trial_id, violations)


def configuration_of(trial: FrozenTrial, space: SearchSpace) -> Configuration:
    """Decode a configuration from a trial's parameters and 8-bit activations, or from its own attribute."""
    if CONFIGURATION in trial.user_attrs:
        held = Configuration.from_json(trial.user_attrs[CONFIGURATION])
        return Configuration({layer.name: held.encodings[layer.name] for layer in space.layers}, held.activations)
    found = space.from_parameters(trial.params)
    rounded = trial.user_attrs.get("activations", {})
    return Configuration(found.in_order, {name: Precision(value) for name, value in rounded.items()})


def record_of(trial: FrozenTrial, space: SearchSpace, objectives: ObjectiveSet, result: Result | None) -> Record:
    """Return the record of a data-free trial.

    Args:
        result: what it gave, or what the trial gave that it was answered from.
    """
    attributes = trial.user_attrs
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    ended = trial.datetime_complete.timestamp() if trial.datetime_complete else begun
    began, answered = attributes.get("span", (begun, ended))
    return Record.judged(
        result,
        objectives,
        attributes.get("costs", {}),
        trial=trial.number,
        origin=attributes["origin"],
        configuration=configuration_of(trial, space),
        workflow=Workflow(attributes["workflow"]),
        answered_from=attributes.get("answered_from"),
        span=(began, answered),
    )


def asked_escalation(rung: Rung, source: Record) -> Escalation:
    """Make an escalation that has no number yet.

    Args:
        source: what it is escalated from, with the configuration and the costs that it asks for.
    """
    return Escalation(-1, rung.name, rung.workflow, source.trial, source.configuration, source.costs, rung.identity)


def attributes_of_escalation(escalation: Escalation) -> dict[str, Any]:
    """Encode what is known of an escalation when it is decided, as user attributes."""
    found: dict[str, Any] = {
        "origin": f"escalated from {escalation.source}",
        ESCALATED_FROM: escalation.source,
        "rung": escalation.rung,
        "workflow": escalation.workflow,
        "settings": dict(escalation.settings or {}),
        "configuration_hash": escalation.configuration.hash,
        "costs": dict(escalation.costs),
    }
    activations = {name: precision.value for name, precision in escalation.configuration.activations.items()}
    return found | ({"activations": activations} if activations else {})


def escalation_of(trial: FrozenTrial, space: SearchSpace, long_values: Lookup = dict) -> Escalation:
    """Decode what ``attributes_of_escalation``, ``attributes_of`` and ``long_values_of`` encoded."""
    attributes = trial.user_attrs
    result = result_of(attributes, long_values)
    assert result is None or isinstance(result, EscalationResult | Failure)
    began, ended = attributes.get("span", (0.0, 0.0))
    return Escalation(
        trial.number,
        attributes["rung"],
        Workflow(attributes["workflow"]),
        attributes[ESCALATED_FROM],
        configuration_of(trial, space),
        attributes["costs"],
        attributes["settings"],
        result,
        (began, ended),
        trial.datetime_complete.timestamp() if trial.datetime_complete else None,
    )


def record_of_escalation(escalation: Escalation, objectives: ObjectiveSet) -> Record:
    """Return the record of an escalation that has its result."""
    return Record.judged(
        escalation.result,
        objectives,
        escalation.costs,
        trial=escalation.trial,
        origin=f"escalated from {escalation.source}",
        configuration=escalation.configuration,
        workflow=escalation.workflow,
        answered_from=None,
        span=escalation.span,
        escalated_from=escalation.source,
        rung=escalation.rung,
    )
