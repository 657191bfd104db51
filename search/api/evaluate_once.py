"""Compress and measure one configuration in this process, through one rung after another."""

from __future__ import annotations

import time
from collections.abc import Sequence

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Workflow
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.preparation.preparation import Preparation
from palettune.search.study.escalation import EscalationOrder, EscalationResult
from palettune.search.study.record import Record
from palettune.search.workers.worker import Worker
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["evaluate_once"]


def evaluate_once(
    worker: Worker,
    preparation: Preparation,
    configuration: Configuration,
    rungs: Sequence[Rung],
    reporter: Reporter,
) -> Record:
    """Measure a configuration after the last of some rungs; without data where there are none.

    Args:
        rungs: each goes on from what the one before made of the model.

    Raises:
        UserError: a layer cannot be compressed, or an evaluation fails: its stage, and the layer where one is known.
    """
    _compress(worker, configuration, reporter)
    began, costs = time.time(), preparation.costs(configuration)
    reached = _escalated(worker, configuration, rungs, reporter)
    if reached is None:
        with reporter.stage("evaluating"):
            evaluation = _measured(worker.evaluator.measure(configuration))
    else:
        evaluation = reached.evaluation
    return Record.of(
        evaluation,
        trial=0,
        origin="applied",
        configuration=configuration,
        workflow=rungs[-1].workflow if rungs else Workflow.DATA_FREE,
        values=(evaluation.divergence,),
        costs=reached.costs(costs) if reached is not None else costs,
        feasible=True,
        answered_from=None,
        span=(began, time.time()),
        state=reached.state if reached is not None else None,
        gains=reached.gains if reached is not None else (),
    )


def _compress(worker: Worker, configuration: Configuration, reporter: Reporter) -> None:
    failures: list[Failure] = []
    with reporter.bar("compressing layers", len(configuration.encodings)) as advance:
        for name, encoding in configuration.encodings.items():
            failures += worker.compress(name, (encoding,))
            advance(1)
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures)
        raise UserError(f"{len(failures)} layer(s) could not be compressed as the configuration says:\n{listed}")


def _escalated(
    worker: Worker, configuration: Configuration, rungs: Sequence[Rung], reporter: Reporter
) -> EscalationResult | None:
    """What the last rung gave; ``None`` where there is none."""
    order: EscalationOrder | None = None
    result: EscalationResult | None = None
    for rung in rungs:
        state, evaluation = (result.state, result.evaluation) if result is not None else (None, None)
        order = EscalationOrder(rung.name, configuration, order, state, evaluation)
        with reporter.stage(f"evaluating: {rung.name}"):
            found = worker.escalate(order)
        if isinstance(found, Failure):
            raise UserError(f"the configuration could not be evaluated: {found}")
        for note in found.notes:
            reporter.warn(note)
        result = found
    return result


def _measured(found: Evaluation | Screened | Failure) -> Evaluation:
    if isinstance(found, Evaluation):
        return found
    raise UserError(f"the configuration could not be evaluated: {found}")
