"""Apply a configuration to a model: the same choices for new weights, without a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.api.applied import Applied
from palettune.search.api.evaluate_once import evaluate_once
from palettune.search.api.run import open_run
from palettune.search.api.stored_configuration import FormerResult, StoredConfiguration, read_configuration
from palettune.search.experiment.experiment import Constraints, EscalationSettings, Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.preparation.configuration_fit import check_fits
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.results.export_result import ExportResult
from palettune.search.results.observer import SearchObserver
from palettune.search.results.packages.export import Exported, export
from palettune.search.results.packages.manifest import write_manifest
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16
from palettune.space.errors import UserError
from palettune.space.layer import LayerKind

__all__ = ["apply"]


def apply(
    configuration: Configuration | str | Path,
    workload: object,
    *,
    out: str | Path = "applied",
    root: str | Path = "runs",
    trial: int | None = None,
    workflow: str | None = None,
    observer: SearchObserver | None = None,
    on_exported: Callable[[Exported], None] = lambda item: None,
) -> Applied:
    """Compress a model as a configuration says, measure it, export it and prove the package; nothing is searched.

    What the configuration had with its former weights is taken from its file, or from the experiment's run under
    ``root``, and stands beside the new figures.

    Args:
        configuration: a configuration, or the path of a JSON file that holds one: ``configuration.json`` of a trial, a
            member of the front, an entry of ``manifest.json``, or what ``solve --json`` printed.
        workload: an experiment, the path of its TOML file, or a workload: the path of a Python file, a module or an
            object with its functions, taken with the defaults of an experiment.
        out: folder for the package and its manifest.
        root: the folder of all runs; compressed weights are kept in the bank of ``root/NAME``.
        trial: which configuration, where the file holds several.
        workflow: ``data_free``, ``calibration`` or ``fine_tuning``; the one that the former weights had unless given.
        observer: hears of stages and notes.
        on_exported: called with the package as soon as it is proven, or is not.

    Raises:
        UserError: the configuration names a layer that the model lacks, or leaves one out, or an encoding that a layer
            cannot take; or the workload lacks what the workflow needs. Said before anything is compressed.
    """
    reporter = observer or SearchObserver()
    asked = _experiment(workload)
    stored = _stored(configuration, trial)
    folder = RunFolder(Path(root), asked.name)
    with reporter.stage("checking the workload"):
        preparation = prepare(_without_search(asked))
        configuration = _with_former_constants(stored.configuration, preparation)
        check_fits(configuration, preparation)
    for words in preparation.notes:
        reporter.warn(words)
    former = stored.former or _former_in_run(asked, Path(root), stored.configuration)
    rungs = _rungs(preparation, configuration, former, workflow)
    if former is None:
        reporter.say("no result of this configuration with other weights was found to compare with")
    folder.create()
    worker = Worker(worker_settings(preparation, folder, asked.needs))
    record = evaluate_once(worker, preparation, configuration, rungs, reporter)
    if former is not None and former.trial is not None:
        record = replace(record, trial=former.trial)
    float_metrics = worker.evaluator.float_metrics
    packages = export(preparation, folder, [record], Path(out), reporter, on_exported, "applied")
    result = ExportResult(tuple(packages), write_manifest(packages, Path(out)))
    return Applied(record, former, dict(float_metrics), result)


def _experiment(workload: object) -> Experiment:
    if isinstance(workload, Experiment) or (isinstance(workload, str | Path) and Path(workload).suffix == ".toml"):
        return Experiment.of(workload)
    return Experiment(name="applied", workload=workload)


def _without_search(experiment: Experiment) -> Experiment:
    """The same with nothing to choose and nothing to meet: the configuration says it all."""
    space = experiment.space.model_copy(update={"encodings": ("fp16",), "groups": "none", "keep": ()})
    return experiment.model_copy(update={"space": space, "constraints": Constraints()})


def _stored(configuration: Configuration | str | Path, trial: int | None) -> StoredConfiguration:
    if isinstance(configuration, Configuration):
        return StoredConfiguration(configuration)
    return read_configuration(Path(configuration), trial)


def _former_in_run(experiment: Experiment, root: Path, configuration: Configuration) -> FormerResult | None:
    """What the experiment's own run measured of the configuration, if there is one; the dearest workflow counts."""
    try:
        run = open_run(experiment, root=root)
    except UserError:  # none, or of another experiment
        return None
    same = [r for r in run.trials if r.configuration.hash == configuration.hash and r.answered_from is None]
    found = [FormerResult.of_record(record, f"trial {record.trial} of {run.folder.path}") for record in same]
    return next((former for former in reversed(found) if former is not None), None)


def _with_former_constants(configuration: Configuration, preparation: Preparation) -> Configuration:
    """A configuration that names no weight but those of modules is of a version that knew no others: they stay in fp16."""
    others = [one.name for one in preparation.layers if one.module is None or LayerKind.OPERAND in one.kinds]
    if any(name in configuration.encodings for name in others):
        return configuration
    return replace(configuration, encodings={**configuration.encodings, **dict.fromkeys(others, FP16)})


def _rungs(
    preparation: Preparation, configuration: Configuration, former: FormerResult | None, asked: str | None
) -> tuple[Rung, ...]:
    """The rungs to go through, each from what the one before gave; none for evaluations without data.

    Raises:
        UserError: a workflow that there is not, or that the workload or the configuration does not allow.
    """
    settings, workload = preparation.experiment.escalation, preparation.workload
    workflow = _workflow(settings, configuration, former, asked)
    found = [rung for rung in settings.rungs if rung.workflow == workflow]
    if not found:
        return ()
    rounds = bool(configuration.activations)
    rung = next((one for one in found if one.rounds == rounds), found[0])
    lacking = rung.missing(workload)
    if lacking is not None:
        raise UserError(f"{lacking}; or choose another workflow")
    below = settings.rung(rung.builds_on) if rung.builds_on is not None else None
    return (below, rung) if below is not None and below.missing(workload) is None else (rung,)


def _workflow(
    settings: EscalationSettings, configuration: Configuration, former: FormerResult | None, asked: str | None
) -> Workflow:
    """The workflow asked for, else the one that the former weights had, else the cheapest that can do it."""
    workflow = Workflow(asked) if asked else former.workflow if former else Workflow.DATA_FREE
    if workflow not in settings.workflows:
        raise UserError(f"workflow {str(workflow)!r}: expected one of {', '.join(settings.workflows)}")
    if not configuration.activations or workflow != Workflow.DATA_FREE:
        return workflow
    if asked:
        raise UserError("workflow 'data_free': the configuration has activations in 8 bits, which need calibration")
    return next(rung.workflow for rung in settings.rungs if rung.rounds)
