"""Solved configurations of an experiment, without a search: bank and scores filled in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.registry import registered_scores
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.experiment import load_experiment
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.proposing.allocation import SIZE, allocated_configuration, allocation_problem
from palettune.search.proposing.solver import solve
from palettune.space.configuration import Configuration

__all__ = ["Solved", "solved"]


@dataclass(frozen=True)
class Solved:
    """A prepared experiment, and by size in MB the configuration of least predicted divergence."""

    preparation: Preparation
    setting: WorkflowSetting
    configurations: dict[float, Configuration]


def solved(experiment: Path, folder: Path, sizes: Sequence[float], others: Sequence[Path] = ()) -> Solved:
    """Compress and score what ``folder`` lacks, and solve for each size.

    Args:
        folder: keeps the bank and the scores between runs.
        others: banks of earlier searches.
    """
    preparation = prepare(load_experiment(experiment))
    bank = WeightBank(folder / "bank", others)
    weights = LayerWeights(preparation.workload.model, preparation.layers, bank, preparation.experiment.seed)
    setting = WorkflowSetting(
        preparation.workload, weights, preparation.kind, preparation.experiment.seed, folder / "checkpoints"
    )
    scores = _scores(preparation, weights, folder / "scores.safetensors")
    problem = allocation_problem(preparation.space, preparation.experiment.deployment_target, preparation.rest, scores)
    configurations = {
        size: allocated_configuration(preparation.space, solve(problem, {SIZE: size}, relative_gap=1e-4))
        for size in sizes
    }
    return Solved(preparation, setting, configurations)


def _scores(preparation: Preparation, weights: LayerWeights, path: Path) -> Scores:
    if path.exists():
        return Scores.load(path)
    workload = preparation.workload
    batches = workload.batches(Split.EVALUATION)
    energy = Reference.of(preparation.kind, [workload.model(*batch.inputs) for batch in batches]).energy
    method = registered_scores()[preparation.experiment.search.scores]
    scorer = method(ScoringSetting(workload.model, weights, preparation.kind, energy, preparation.experiment.seed))
    samples = single_samples(workload.batches(workload.scoring_split), preparation.experiment.search.score_samples)
    scores = scorer.score(preparation.columns(), samples)
    scores.save(path)
    return scores
