"""Adding evaluations to a run: of a configuration given, in a file, or solved for a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from palettune.search.api.stored_configuration import read_configuration
from palettune.search.experiment.experiment import EscalationSettings, Experiment
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.loop.added_evaluations import AskedEvaluation
from palettune.search.loop.added_session import add_to_search
from palettune.search.loop.session import Places
from palettune.search.preparation.configuration_fit import check_fits
from palettune.search.preparation.preparation import Preparation
from palettune.search.results.observer import SearchObserver
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["evaluate_in_run"]


def evaluate_in_run(
    experiment: Experiment,
    records: Sequence[Record],
    places: Places,
    given: Configuration | str | Path,
    calibrate: bool = False,
    origin: str | None = None,
    observers: Sequence[SearchObserver] = (),
) -> Record:
    """Evaluate a configuration and add it to the study; what was evaluated before is only given back.

    Args:
        records: every evaluation of the run.
        given: a configuration, or a JSON file that holds one.
        calibrate: find its weights with data, too.
        origin: where it comes from, in words.

    Raises:
        UserError: it does not fit the model, the evaluation fails, or a search is running in the folder.
    """
    if isinstance(given, Configuration):
        configuration, source = given, "given by hand"
    else:
        configuration, source = read_configuration(Path(given)).configuration, f"from {Path(given).name}"
    rungs = _rungs(experiment.escalation, configuration, calibrate)
    known = _evaluated_before(records, configuration, rungs)
    if known is not None:
        return known
    asked = AskedEvaluation(origin or source, configuration, rungs)
    (record,) = add_to_search(experiment, places, _checked(asked), observers)
    if record.evaluation is None:
        raise UserError(f"the configuration could not be evaluated: {record.failure or record.screened}")
    return record


def _rungs(settings: EscalationSettings, configuration: Configuration, calibrate: bool) -> tuple[Rung, ...]:
    """Calibration where it is asked for, and the rounding of activations where the configuration has it."""
    return tuple(
        rung
        for rung in settings.rungs
        if (calibrate and rung.name == "calibration") or (configuration.activations and rung.rounds)
    )


def _evaluated_before(records: Sequence[Record], configuration: Configuration, rungs: Sequence[Rung]) -> Record | None:
    """The evaluation that is asked for, where the study has it already."""
    last = rungs[-1].name if rungs else None
    found = [r for r in records if r.configuration == configuration and r.rung == last and r.answered_from is None]
    return next((record for record in reversed(found) if record.evaluation is not None), None)


def _checked(asked: AskedEvaluation) -> Callable[[Preparation], Sequence[AskedEvaluation]]:
    """What is asked for, checked against the model and the workload once they are there."""

    def check(preparation: Preparation) -> Sequence[AskedEvaluation]:
        check_fits(asked.configuration, preparation)
        for rung in asked.rungs:
            lacking = rung.missing(preparation.workload)
            if lacking is not None:
                raise UserError(f"{rung.name}: {lacking}")
        return [asked]

    return check
