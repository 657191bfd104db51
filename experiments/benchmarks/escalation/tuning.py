"""What fine-tuning gains on the solved configurations of an experiment: `python -m experiments.benchmarks.escalation.tuning`.

For each size: data-free, with ``--calibrated`` calibration, then norms and biases alone, then everything; each on the
evaluation and on the confirmation data, which no step has seen. Results are written as JSON, one object a line; a killed run
goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.escalation.solved import solved
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Evaluation, Failure
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowResult
from palettune.evaluators.workload.workload import Split
from palettune.search.workers.allocator import keep_freed_memory

log = logging.getLogger("escalation")


def main() -> None:
    """Run what the arguments ask for."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asked = _arguments()
    keep_freed_memory()
    torch.set_num_threads(asked.threads)
    found = solved(asked.experiment, asked.folder, asked.sizes, asked.banks)
    confirmation = Quality(found.setting.workload, found.setting.kind, Split.CONFIRMATION)
    common = {
        "distillation": asked.distillation,
        "vector_rate": asked.vector_rate,
        "rate": asked.rate,
        "table_rate": asked.table_rate,
    }
    tunings = {
        "norms and biases": FineTuningSetting(vector_steps=asked.vector_steps, steps=0, **common),
        "everything": FineTuningSetting(vector_steps=0, steps=asked.steps, **common),
    }
    stages: dict[str, WorkflowEvaluator] = {"data-free": DataFreeEvaluator(found.setting)}
    if asked.calibrated:
        stages["calibration"] = CalibrationEvaluator(found.setting)
    for stage, tuning in tunings.items():
        if tuning.steps + tuning.vector_steps:
            stages[stage] = FineTuningEvaluator(found.setting, tuning)
    _report(asked, 0.0, "float", {"confirmation": confirmation.float_metrics})
    for size, configuration in found.configurations.items():
        outcome: WorkflowResult | None = None
        for stage, evaluator in stages.items():
            started = time.perf_counter()
            found_now = evaluator.evaluate(configuration, outcome)
            if isinstance(found_now, Failure):
                raise SystemExit(f"{size} MB, {stage}: {found_now}")
            outcome, seconds = found_now, time.perf_counter() - started
            module = outcome.state.apply(found.setting.workload.model, metadata=False)
            confirmed = confirmation.measure(module, configuration.hash, outcome.evaluation.workflow)
            outcome.state.save(asked.folder / "states")
            _report(asked, size, stage, _figures(outcome, confirmed) | {"seconds": round(seconds, 1)})


def _figures(outcome: WorkflowResult, confirmed: Any) -> dict[str, Any]:
    assert isinstance(confirmed, Evaluation)
    return {
        "evaluation": {"divergence": outcome.evaluation.divergence, **outcome.evaluation.metrics},
        "confirmation": {"divergence": confirmed.divergence, **confirmed.metrics},
        "gains": [gain.to_json() for gain in outcome.gains],
        "notes": list(outcome.notes),
        "state": outcome.state.digest,
    }


def _report(asked: argparse.Namespace, size: float, stage: str, figures: dict[str, Any]) -> None:
    line = {"experiment": asked.experiment.parent.name, "size_mb": size, "stage": stage, **figures}
    asked.folder.mkdir(parents=True, exist_ok=True)
    with (asked.folder / "tuning.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    log.info("%s", json.dumps({key: value for key, value in line.items() if key not in ("gains", "state")}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("folder", type=Path, help="keeps the bank, the scores, the states and the results")
    parser.add_argument("--sizes", type=float, nargs="+", required=True, help="MB")
    parser.add_argument("--banks", type=Path, nargs="*", default=[], help="banks of earlier runs")
    parser.add_argument(
        "--calibrated", action="store_true", help="fine-tune what calibration left, not the data-free state"
    )
    parser.add_argument("--vector-steps", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--vector-rate", type=float, default=FineTuningSetting.vector_rate)
    parser.add_argument("--rate", type=float, default=FineTuningSetting.rate)
    parser.add_argument("--table-rate", type=float, default=FineTuningSetting.table_rate)
    parser.add_argument("--distillation", type=float, default=FineTuningSetting.distillation)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
