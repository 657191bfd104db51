"""Starting whoever evaluates for a prepared experiment: this process, or workers on Ray."""

from __future__ import annotations

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation
from palettune.search.workers.evaluations import Evaluations, WorkerError
from palettune.search.workers.evaluations_by_workflow import EvaluationsByWorkflow
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.ray_evaluations import RayEvaluations, connect_to_ray
from palettune.search.workers.worker_settings import worker_settings

__all__ = ["start_evaluations"]


def start_evaluations(
    preparation: Preparation, folder: RunFolder, reporter: Reporter, *, inline: bool, ray_address: str | None
) -> Evaluations:
    """Start the workers of a prepared experiment; a workflow has its own where the experiment says so.

    Args:
        inline: this process instead of Ray.
        ray_address: of the cluster; one is started on this machine without.

    Raises:
        WorkerError: there is no such cluster, or no room on it.
    """
    experiment = preparation.experiment
    if inline:
        with reporter.stage("loading the workload"):
            return InlineEvaluations(worker_settings(preparation, folder, experiment.needs))
    own = {w: n for w, n in experiment.resources.items() if experiment.escalation.counts.get(w)}
    wanted = {w: needs.model_copy(update={"workers": needs.workers or 1}) for w, needs in own.items()}
    parts: dict[Workflow, RayEvaluations] = {}
    with reporter.stage("starting Ray"):
        connect_to_ray(ray_address)
        started = EvaluationsByWorkflow(parts)
        try:
            for workflow, needs in [*wanted.items(), (Workflow.DATA_FREE, experiment.needs)]:
                reserved = sum(n.cpus * (n.workers or 1) for w, n in wanted.items() if w != workflow)
                settings = worker_settings(preparation, folder, needs)
                parts[workflow] = RayEvaluations(settings, needs, workflow, on_lost=reporter.warn)
                parts[workflow].start(reserved)
        except WorkerError:
            started.stop()
            raise
    return started
