"""What one trial costs: overhead, assembly, against plain coremltools, and with two workers instead of one.

    python experiments/benchmarks/trial_cost/run.py

Every figure is a ratio of two things measured side by side in this run, or a time from which the forward passes are
taken off. Prints a table and writes `results.json` beside this file.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import torch
from coremltools.optimize.torch.palettization import PostTrainingPalettizer, PostTrainingPalettizerConfig
from rich.console import Console

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.workload import load_workload
from palettune.search.experiment.experiment import Budget, EscalationSettings, Experiment, Needs, load_experiment
from palettune.search.loop.session import Places, run_session
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.search.workers.allocator import keep_freed_memory
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

HERE = Path(__file__).parent
EXPERIMENT = HERE.parents[1] / "efficientnet_lite0" / "experiment.toml"


class Stopwatch(SearchObserver):
    """Times the trials of a search, and keeps their records."""

    seconds = 0.0

    def on_search_started(self, history: SearchHistory) -> None:
        """Begin."""
        self._began = time.perf_counter()

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """One more trial."""
        self.seconds = time.perf_counter() - self._began
        self.records = [r for r in history.trials if r.evaluation is not None and r.answered_from is None]


def search(experiment: Experiment, root: Path, trials: int, workers: int) -> dict[str, float]:
    """Run the loop of a search and say how long it took, what of it were forward passes, and where the rest went."""
    needs = {"data_free": Needs(workers=workers)}
    trials_alone = experiment.search.model_copy(update={"confirm": 0})
    changed = experiment.model_copy(
        update={
            "budget": Budget(trials=trials),
            "resources": needs,
            "escalation": EscalationSettings(),
            "search": trials_alone,
        }
    )
    stopwatch = Stopwatch()
    outcome = run_session(changed, Places(root), [stopwatch], fresh=True)
    evaluations = [record.evaluation for record in stopwatch.records]
    seconds = {name: sum(e.seconds[name] for e in evaluations) for name in ("forward", "assemble", "metrics")}
    return {**outcome.seconds, **seconds, "whole": stopwatch.seconds, "trials": len(evaluations)}


def assembly_and_plain(experiment: Experiment, bank: Path, repeats: int) -> dict[str, float]:
    """Assembly against a forward pass, and a whole trial here against the same trial done plainly with coremltools."""
    keep_freed_memory()
    torch.set_num_threads(1)
    workload = load_workload(experiment.workload)
    layers = layers_of(workload.model)
    weights = LayerWeights(workload.model, layers, WeightBank(bank), experiment.seed)
    evaluator = DataFreeEvaluator(WorkflowSetting(workload, weights, DivergenceKind.KL))
    names = [Encoding.parse(name) for name in ("lut4", "lut6")]
    results = {"assemble": [], "forward": [], "here": [], "plain": []}
    for repeat in range(repeats):
        # every layer changes at every repeat, as in the worst of trials
        configuration = Configuration({layer.name: names[(i + repeat) % 2] for i, layer in enumerate(layers)})
        started = time.perf_counter()
        ours = evaluator.measure(configuration)
        results["here"].append(time.perf_counter() - started)
        results["assemble"].append(ours.seconds["assemble"])
        results["forward"].append(ours.seconds["forward"])
        started = time.perf_counter()
        plain = plainly(workload.model, configuration, evaluator)
        results["plain"].append(time.perf_counter() - started)
        assert abs(plain - ours.divergence) <= 0.02 * max(plain, ours.divergence), (plain, ours.divergence)
    return {name: sorted(values)[len(values) // 2] for name, values in results.items()}


def plainly(model, configuration: Configuration, evaluator: DataFreeEvaluator) -> float:
    """The same trial as the field does it: compress the whole model, evaluate."""
    config = {name: {"n_bits": encoding.bits} for name, encoding in configuration.encodings.items()}
    with contextlib.redirect_stderr(io.StringIO()):
        palettizer = PostTrainingPalettizer(
            model, PostTrainingPalettizerConfig.from_dict({"module_name_configs": config})
        )
        compressed = palettizer.compress(num_kmeans_workers=1)
    with torch.inference_mode():
        outputs = [compressed(*batch.inputs) for batch in evaluator.workload.batches(evaluator.split)]
    return float(torch.cat([evaluator.reference.by_sample(i, output) for i, output in enumerate(outputs)]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--root", type=Path, help="a folder of runs whose weight bank and scores may be used")
    arguments = parser.parse_args()
    experiment = load_experiment(EXPERIMENT)
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or Path(folder)
        one = search(experiment, root, arguments.trials, 1)
        two = search(experiment, root, arguments.trials, 2)
        side = assembly_and_plain(experiment, root / experiment.name / "weight_bank", arguments.repeats)
    trials = one["trials"]
    figures = {
        "overhead per trial (s)": (one["whole"] - one["forward"]) / trials,
        "of which ask": one.get("ask", 0) / trials,
        "of which keep": one.get("keep", 0) / trials,
        "of which tell": one.get("tell", 0) / trials,
        "of which MLflow queue and metrics": one.get("told", 0) / trials,
        "of which assembly": one["assemble"] / trials,
        "of which metrics": one["metrics"] / trials,
        "assembly / forward pass": side["assemble"] / side["forward"],
        "plain coremltools trial / trial here": side["plain"] / side["here"],
        "trials per minute, two workers / one": (one["whole"] / one["trials"]) / (two["whole"] / two["trials"]),
        "forward pass per trial (s)": one["forward"] / trials,
    }
    table = Console()
    for name, value in figures.items():
        table.print(f"{name:<42} {value:.4f}", highlight=False)
    (HERE / "results.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
