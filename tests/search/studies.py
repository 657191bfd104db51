"""A study in memory of five made-up layers, with trials and escalations told to it."""

from pathlib import Path

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.experiment.experiment import Experiment
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.study import SearchStudy
from palettune.search.study.study_context import StudyContext
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

MENU = [Encoding.parse(name) for name in ("fp16", "int8", "lut4")]
LAYERS = tuple(Layer(f"l{i}", LayerKind.LINEAR, (64, 64 * (i + 1))) for i in range(5))
SPACE = SearchSpace.build(LAYERS, MENU, DeploymentTarget("iOS18"))


def experiment_of(sampler="random", **more):
    """An experiment named ``x``."""
    return Experiment(name="x", workload=Path("workload.py"), search={"sampler": sampler}, **more)


def study_of(storage=None, experiment=None):
    """The study of a storage, as whoever goes on with it or reads it finds it; made where there is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, experiment = storage or InMemoryStorage(), experiment or experiment_of()
    found = SearchStudy.load(storage, experiment)
    if found is not None:
        return found
    context = StudyContext("id", DivergenceKind.KL, 1.0, {}, {"size_mb": 100.0}, 0, "scores", SPACE)
    return SearchStudy.create(storage, experiment, {"experiment": experiment.identity()}, context)


def costs(configuration):
    """Megabytes, as made up as the layers."""
    bits = {"fp16": 16, "int8": 8, "lut4": 4}
    return {"size_mb": float(sum((i + 1) * bits[str(e)] for i, e in enumerate(configuration.encodings.values())))}


def evaluation(configuration, workflow=Workflow.DATA_FREE, share=1.0):
    """The smaller a configuration, the more it loses."""
    divergence = share / costs(configuration)["size_mb"]
    return Evaluation(configuration.hash, workflow, divergence, (divergence,) * 4)


def evaluated(study, result=None):
    """One data-free trial, from its proposal to its record."""
    number, configuration = study.data_free.ask(RandomSampler)
    result = result or evaluation(configuration)
    study.data_free.keep(number, result, (1.0, 2.0))
    return study.data_free.tell(number, result, costs(configuration), study.objectives)


def calibrated(record, share=0.5):
    """What a worker answers to an escalation of a record."""
    found = evaluation(record.configuration, Workflow("calibration"), share)
    gains = (Gain("moments", None, 2.0, 1.0, 0.1, 16, True),)
    return EscalationResult(found, "state.safetensors", gains, ("few samples",))


def escalate(study, record, rung="calibration", result=None):
    """One escalation, from its decision to its record."""
    escalation = study.escalations.decide(study._experiment.escalation.rung(rung), record)
    escalation = escalation.answered(result or calibrated(record), (3.0, 4.0))
    study.escalations.keep(escalation)
    return study.escalations.tell(escalation)
