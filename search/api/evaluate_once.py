"""Compress and measure one configuration in this process, through one workflow after another."""

from __future__ import annotations

import time
from collections.abc import Sequence

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Workflow
from palettune.search.experiment.reporter import Reporter
from palettune.search.preparation.preparation import Preparation
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.record import Record
from palettune.search.workers.worker import Resident
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["evaluate_once"]


def evaluate_once(
    worker: Resident,
    preparation: Preparation,
    configuration: Configuration,
    steps: Sequence[Workflow],
    reporter: Reporter,
) -> Record:
    """Measure a configuration after the last of some workflows.

    Args:
        steps: each goes on from what the one before made of the model.

    Raises:
        UserError: a layer cannot be compressed, or an evaluation fails: its stage, and the layer where one is known.
    """
    _compress(worker, configuration, reporter)
    began = time.time()
    costs, evaluation, reached = preparation.costs(configuration), None, None
    for workflow in steps:
        with reporter.stage(f"evaluating: {workflow.value}"):
            if workflow is Workflow.DATA_FREE:
                evaluation = _measured(worker.evaluate(configuration.to_json()))
            else:
                reached = _escalated(worker, workflow, configuration, reached)
                evaluation = reached.evaluation
        for note in reached.notes if reached is not None else ():
            reporter.warn(note)
    assert evaluation is not None
    return Record.of(
        evaluation,
        trial=0,
        origin="applied",
        configuration=configuration,
        workflow=steps[-1],
        values=(evaluation.divergence,),
        costs=reached.costs(costs) if reached is not None else costs,
        feasible=True,
        answered_from=None,
        span=(began, time.time()),
        state=reached.state if reached is not None else None,
        gains=reached.gains if reached is not None else (),
    )


def _compress(worker: Resident, configuration: Configuration, reporter: Reporter) -> None:
    failures: list[Failure] = []
    with reporter.bar("compressing layers", len(configuration.encodings)) as advance:
        for name, encoding in configuration.encodings.items():
            failures += worker.compress(name, (str(encoding),))
            advance(1)
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures)
        raise UserError(f"{len(failures)} layer(s) could not be compressed as the configuration says:\n{listed}")


def _escalated(
    worker: Resident, workflow: Workflow, configuration: Configuration, start: EscalationResult | None
) -> EscalationResult:
    begun = None if start is None else (start.evaluation.to_json(), start.state)
    found = worker.escalate(workflow.value, configuration.to_json(), begun)
    if isinstance(found, Failure):
        raise UserError(f"the configuration could not be evaluated: {found}")
    return found


def _measured(found: Evaluation | Screened | Failure) -> Evaluation:
    if isinstance(found, Evaluation):
        return found
    raise UserError(f"the configuration could not be evaluated: {found}")
