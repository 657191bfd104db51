"""What a GPU does for each stage of a search, beside a CPU: seconds, and how far results are apart.

    python experiments/benchmarks/scale/gpu.py
    python experiments/benchmarks/scale/gpu.py --devices cpu --threads 2

Runs each stage of an evaluation on EfficientNet-Lite0 and on a transformer of 135 million random weights, on each
device that is there. Seconds are wall time after a first run that is not counted, where a stage is short enough to be
run twice; stages that build something (compression, calibration, fine-tuning) are run once. Prints a table and writes
`gpu.json` beside this file after every stage, so that a run that is cut off has told what it knew.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.calibration.importance import Importance
from palettune.evaluators.calibration.layer_choices import layer_methods
from palettune.evaluators.calibration.layer_method import LayerTask
from palettune.evaluators.calibration.layer_statistics import layer_statistics, observable
from palettune.evaluators.calibration.moment_matching import MomentMatching
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.fine_tuning.evaluator import FineTuningEvaluator
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.placement import placed, worker_device
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.sensitivity.isolated import IsolatedScore
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowResult, WorkflowSetting
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Split, Workload, load_workload
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

HERE = Path(__file__).parent
WORKLOADS = {
    "efficientnet_lite0": HERE.parents[1] / "efficientnet_lite0" / "workload.py",
    "transformer": HERE / "transformer.py",
}
ENCODINGS = ("lut4", "int4-b32", "sparse50")
STAGES = ("evaluation", "scoring", "isolated", "methods", "fine_tuning", "calibration")
SCORED = {"efficientnet_lite0": 24, "transformer": 8}
ISOLATED = 6  # columns
LAYERS = 4  # of which each calibration method finds the weights
CALIBRATED = 64  # samples, a quarter of which judges
STEPS = {"efficientnet_lite0": (10, 20), "transformer": (3, 5)}


class Case:
    """One model with its compressed weights; the stages, each on a device."""

    def __init__(self, name: str, workload: Workload, bank: Path) -> None:
        self.name, self.workload, self.bank = name, workload, bank
        # the embedding is left as it is: its tables would take most of the time and all of the memory
        self.layers = tuple(layer for layer in layers_of(workload.model) if layer.kind.value != "embedding")
        self.weights = LayerWeights(workload.model, self.layers, WeightBank(bank))
        self.encodings = tuple(Encoding.parse(spelling) for spelling in ENCODINGS)
        # stem and depthwise layers have too few input channels for blocks
        self.columns = [(x.name, e) for x in self.layers for e in self.encodings if self._fits(x, e)]

    def _fits(self, layer: Any, encoding: Encoding) -> bool:
        return encoding.linear is None or layer.input_channels % 32 == 0

    def configuration(self, first: int) -> Configuration:
        """Encodings in turn from layer to layer; where one does not fit, the one after it."""
        found = {}
        for number, layer in enumerate(self.layers, first):
            turns = [self.encodings[(number + i) % len(self.encodings)] for i in range(2)]
            found[layer.name] = next(e for e in turns if self._fits(layer, e))
        return Configuration(found)

    def compression(self) -> dict[str, Any]:
        """Every (layer, encoding) into the bank: on the CPU whatever the device, one thread for each of some processes."""
        processes = os.cpu_count() or 1
        _building.append(self)  # what forked processes find; a case cannot be sent to them
        started = time.perf_counter()
        with ProcessPoolExecutor(processes, get_context("fork")) as pool:
            spent = list(pool.map(_build, self.columns, chunksize=2))
        wall = time.perf_counter() - started
        return {"seconds": sum(spent), "entries": len(spent), "processes": processes, "wall_seconds": wall}

    def build(self, column: tuple[str, Encoding]) -> float:
        """One entry; seconds of one thread."""
        started = time.perf_counter()
        self.weights.bank.put(self.weights.key(*column), self.weights.build(*column))
        return time.perf_counter() - started

    def setting(self, device: torch.device, folder: str) -> WorkflowSetting:
        """Calibrated weights go into a bank of the run's own, so that each run finds them itself."""
        bank = WeightBank(Path(folder), (self.bank,))
        weights = LayerWeights(self.workload.model, self.layers, bank)
        return WorkflowSetting(self.workload, weights, DivergenceKind.KL, device=device)

    def evaluation(self, device: torch.device, folder: str) -> tuple[dict[str, Any], float]:
        """Two configurations in turns, so that every weight changes: the median of two and as many as take ten seconds."""
        evaluator = DataFreeEvaluator(self.setting(device, folder))
        found: list[Any] = []
        seconds: list[float] = []
        for turn in range(12):
            if turn > 2 and sum(seconds) > 10:
                break
            spent, evaluation = timed(lambda turn=turn: evaluator.measure(self.configuration(turn % 2)), device)
            assert isinstance(evaluation, Evaluation), evaluation
            seconds.append(spent)
            found.append(evaluation.by_sample)
        return {"by_sample": np.concatenate(found[:2])}, float(np.median(seconds[1:]))

    def scoring(self, device: torch.device, folder: str) -> tuple[dict[str, Any], float]:
        """Fisher scores of every column."""
        scorer, samples = FisherScore(self._scoring(device)), self._samples(SCORED[self.name])
        scorer.score(self.columns, samples[:1])
        seconds, scores = timed(lambda: scorer.score(self.columns, samples), device)
        return {"by_column": scores.by_sample.mean(0), "signed": scores.signed}, seconds

    def isolated(self, device: torch.device, folder: str) -> tuple[dict[str, Any], float]:
        """Some columns, each by a forward pass over the samples of ``scoring``."""
        scorer, samples = IsolatedScore(self._scoring(device)), self._samples(SCORED[self.name])
        some = self.columns[:: max(1, len(self.columns) // ISOLATED)][:ISOLATED]
        scorer.score(some[:1], samples[:1])
        seconds, scores = timed(lambda: scorer.score(some, samples), device)
        return {"by_column": scores.by_sample.mean(0)}, seconds

    def methods(self, device: torch.device, folder: str) -> tuple[dict[str, Any], float]:
        """The parts of a calibration, on a few layers: seconds of each, and the output error of what it finds."""
        setting, samples = self.setting(device, folder), calibration_samples(self.workload, CALIBRATED)
        layers = [x for x in self.layers if observable(x) and x.groups == 1 and x.input_channels % 32 == 0]
        layers = layers[:: max(1, len(layers) // LAYERS)][:LAYERS]
        model, parts, found = placed(self.workload.model, device), dict[str, float](), dict[str, Any]()
        parts["moments"], moments = timed(lambda: MomentMatching(model, samples.fitting()), device)
        if moments.wanted:  # of a network whose modules have no bias there is nothing to match
            found["moments"] = np.concatenate([np.asarray(m.mean.cpu()) for m in moments.wanted.values()])
        parts["statistics"], statistics = timed(
            lambda: layer_statistics(model, layers, samples.fitting(), samples.judging()), device
        )
        found["gram"] = np.concatenate([np.asarray(s.gram.cpu()).ravel() for s in statistics.values()])
        importance = Importance(self.workload.model, self.layers, setting.kind, samples, device=device)
        parts["importance"], _ = timed(lambda: importance.get(layers[0].name), device)
        found["importance"] = np.asarray(importance.get(layers[0].name)).ravel()
        for method in layer_methods():
            errors: list[float] = []
            parts[f"{method.name} (a layer)"] = 0.0
            for layer, encoding in [(x, e) for x in layers for e in self.encodings if method.applies(x, e)]:
                weight, start = self.weights.float_weight(layer.name), self.weights.get(layer.name, encoding)
                known = statistics[layer.name]
                task = LayerTask(layer, encoding, weight, start, known, importance.get)
                seconds, made = timed(lambda task=task, method=method: method.find(task), device)
                parts[f"{method.name} (a layer)"] += seconds / len(layers)
                errors.append(float(np.mean(known.errors(made.weight - weight, layer))))
            found[f"{method.name}: output error"] = np.array(errors)
        return {"parts": parts, **found}, sum(parts.values())

    def calibration(self, device: torch.device, folder: str) -> tuple[dict[str, Any], float]:
        """The whole workflow on one configuration: moments, statistics, importance, each layer's methods."""
        seconds, outcome = timed(
            lambda: CalibrationEvaluator(self.setting(device, folder), CALIBRATED).evaluate(self.configuration(0)),
            device,
        )
        return self._outcome(outcome), seconds

    def fine_tuning(self, device: torch.device, folder: str) -> tuple[dict[str, Any], float]:
        """A short training of vectors, then of everything; on a GPU it computes in bfloat16."""
        vectors, steps = STEPS[self.name]
        tuning = FineTuningSetting(vector_steps=vectors, steps=steps, held_out=8, validations=1, device=device.type)
        evaluator = FineTuningEvaluator(self.setting(device, folder), tuning)
        seconds, outcome = timed(lambda: evaluator.evaluate(self.configuration(0)), device)
        return self._outcome(outcome), seconds

    def _outcome(self, outcome: Any) -> dict[str, Any]:
        assert isinstance(outcome, WorkflowResult), outcome
        methods = list(outcome.state.methods.values())
        kept = {gain.method: gain.kept for gain in outcome.gains if gain.layer is None}
        counts = {method: methods.count(method) for method in sorted(set(methods))}
        return {"by_sample": np.array(outcome.evaluation.by_sample), "methods": counts, "kept": kept}

    def _scoring(self, device: torch.device) -> ScoringSetting:
        sampling = self.workload.sampling
        return ScoringSetting(self.workload.model, self.weights, DivergenceKind.KL, sampling=sampling, device=device)

    def _samples(self, count: int) -> list[Any]:
        return single_samples(self.workload.batches(Split.CALIBRATION), count)


_building: list[Case] = []


def _build(column: tuple[str, Encoding]) -> float:
    return _building[-1].build(column)


def timed(run: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds until the device has done all of it, and what came of it."""
    started = time.perf_counter()
    found = run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def apart(found: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """How far the results of one device are from those of the CPU."""
    differences: dict[str, Any] = {}
    for key, have in found.items():
        want = reference[key]
        if isinstance(have, np.ndarray):
            scale = float(np.abs(want).mean())
            differences[f"{key}: largest difference / mean"] = float(np.abs(have - want).max()) / scale
            differences[f"{key}: difference of the means / mean"] = abs(float(have.mean() - want.mean())) / scale
            relative = np.abs(have - want) / np.maximum(np.abs(want), 1e-30)
            differences[f"{key}: median relative difference"] = float(np.median(relative))
            differences[f"{key}: correlation"] = float(np.corrcoef(np.ravel(have), np.ravel(want))[0, 1])
        elif key != "parts":
            differences[key] = {"here": have, "cpu": want, "equal": have == want}
    return differences


def machine(threads: int) -> dict[str, Any]:
    """Card, processor and versions."""
    packages = ("torch", "coremltools", "numpy", "scikit-learn")
    found: dict[str, Any] = {"python": platform.python_version(), "threads": threads, "cpus": os.cpu_count()}
    found["processor"] = _processor()
    found["versions"] = {package: metadata.version(package) for package in packages}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found["card"] = {"name": card.name, "memory_gib": round(card.total_memory / 2**30, 1)}
        found["card"]["cuda"] = torch.version.cuda
    return found


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the JSON of a stage's results."""
    shown: dict[str, Any] = {
        f"mean {key}": float(value.mean()) for key, value in found.items() if isinstance(value, np.ndarray)
    }
    return shown | {key: value for key, value in found.items() if not isinstance(value, np.ndarray)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"))
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=60, help="no stage is begun after so many")
    parser.add_argument("--out", type=Path, default=HERE / "gpu.json")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    devices = arguments.devices or (["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"])
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {"machine": machine(arguments.threads), "models": {}}
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(name, load_workload(WORKLOADS[name]), Path(folder))
            count = sum(parameter.numel() for parameter in case.workload.model.parameters())
            compression = case.compression()
            stages: dict[str, Any] = {"compression": {"cpu": compression}}
            result["models"][name] = {"weights": count, "layers": len(case.layers), "stages": stages}
            print(
                f"{name}: {count / 1e6:.1f} million weights; compression {compression}",
                flush=True,
            )
            for stage in arguments.stages:
                kept: dict[str, Any] = {}
                for device in devices:
                    if time.perf_counter() - begun > 60 * arguments.minutes:
                        print(f"{name} {stage} {device}: not begun, the time is over", flush=True)
                        continue
                    stages.setdefault(stage, {})[device] = measure(case, stage, device, kept)
                    print(f"{name} {stage} {device}: {stages[stage][device]['seconds']:.2f} s", flush=True)
                    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
                if {"cpu", "cuda"} <= kept.keys():
                    stages[stage]["apart"] = apart(kept["cuda"], kept["cpu"])
                    print(json.dumps(stages[stage]["apart"]), flush=True)
                arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def measure(case: Case, stage: str, name: str, kept: dict[str, Any]) -> dict[str, Any]:
    """One stage on one device; its results are kept for the comparison."""
    device = worker_device(1 if name == "cuda" else 0)
    if name == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        found, seconds = getattr(case, stage)(device, folder)
    kept[name] = found
    memory = {"peak_gpu_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if name == "cuda" else {}
    return {"seconds": seconds, **memory, **summary(found)}


if __name__ == "__main__":
    sys.exit(main())
