"""What calibration gains, method by method, on solved configurations of an experiment; figures on confirmation data.

    python -m experiments.benchmarks.escalation.calibration experiments/efficientnet_lite0/experiment.toml --sizes 1.5 2.0 2.4

The rows: data-free; moment matching alone; weights found layer by layer alone; both, as the workflow keeps them; and all
layers in int8 with weights alone and with activations in 8 bits too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.escalation.solved import Solved, solved
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.program_graph import program_nodes
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.evaluators.calibration.evaluator import CalibrationEvaluator
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.model_state import ModelState
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowResult
from palettune.evaluators.workload.workload import Split
from palettune.search.workers.allocator import keep_freed_memory
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding

Row = dict[str, object]


class Methods:
    """Evaluates configurations under each method and measures every state on confirmation data."""

    def __init__(self, found: Solved, prove: bool) -> None:
        setting = found.setting
        self.preparation, self.prove = found.preparation, prove
        self.model = setting.workload.model
        self.quality = Quality(setting.workload, setting.kind, Split.CONFIRMATION)
        self.data_free = DataFreeEvaluator(setting)
        self.moments = CalibrationEvaluator(setting, layer_methods=False)
        self.whole = CalibrationEvaluator(setting)

    def rows(self, name: str, configuration: Configuration) -> list[Row]:
        """One configuration under every method."""
        free = self._row(name, "data-free", self.data_free, configuration)
        moments = self._row(name, "moment matching", self.moments, configuration)
        whole = self._row(name, "calibration", self.whole, configuration)
        outcome = whole.pop("outcome")
        weights = {
            "configuration": name,
            "method": "layer weights alone",
            "confirmation": self._confirmed(replace(outcome.state, tensors={})),
        }
        for row in (free, moments):
            row.pop("outcome")
        whole["weights by"] = dict(Counter(outcome.state.methods.values()))
        whole["package"] = self._package(outcome.state)
        whole["gains"] = [gain.to_json() for gain in outcome.gains]
        return [free, moments, weights, whole]

    def activations(self) -> list[Row]:
        """All layers in int8, with and without activations in 8 bits."""
        layers = self.data_free.setting.weights.layers
        encodings = dict.fromkeys(layers, Encoding.parse("int8"))
        rows = [self._row("int8", "data-free", self.data_free, Configuration(encodings))]
        asked = Configuration(encodings, dict.fromkeys(layers, Precision.INT8))
        rows.append(self._row("int8, activations in 8 bits", "calibration", self.moments, asked))
        rows[-1]["gains"] = [gain.to_json() for gain in rows[-1]["outcome"].gains]
        rows[-1]["package"] = self._package(rows[-1]["outcome"].state)
        for row in rows:
            row.pop("outcome")
        return rows

    def _row(self, name: str, method: str, evaluator: WorkflowEvaluator, configuration: Configuration) -> Row:
        started = time.perf_counter()
        outcome = evaluator.evaluate(configuration)
        seconds = time.perf_counter() - started
        assert isinstance(outcome, WorkflowResult), outcome
        return {
            "configuration": name,
            "method": method,
            "evaluation": outcome.evaluation.divergence,
            "confirmation": self._confirmed(outcome.state),
            "seconds": seconds,
            "outcome": outcome,
        }

    def _package(self, state: ModelState) -> str:
        """Whether a package of the state is proven, how near it runs to the module, and how often it quantizes."""
        if not self.prove:
            return ""
        module, target = state.apply(self.model), self.preparation.experiment.deployment_target
        inputs = self.preparation.workload.example_inputs
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.mlpackage"
            convert(module, inputs, target).save(str(path))
            proof = prove(path, module, inputs, state.configuration, self.preparation.layers, target)
            execution = compare(path, as_stored(module), [inputs])
            quantized = [node.kind for node in program_nodes(path)].count("quantize")
        words = "proven" if proof.passed and execution.passed else "; ".join((*proof.failures, str(execution)))
        return f"{words}, {execution.snr_db:.0f} dB, {quantized} quantize"

    def _confirmed(self, state: ModelState) -> float:
        measured = self.quality.measure(
            state.apply(self.model, metadata=False), state.configuration.hash, CalibrationEvaluator.workflow
        )
        assert isinstance(measured, Evaluation), measured
        return measured.divergence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.5, 2.0, 2.4])
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/escalation"), help="keeps bank and scores between runs"
    )
    parser.add_argument("--banks", type=Path, nargs="*", default=[], help="weight banks of earlier searches")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--prove", action="store_true", help="convert, prove and run a package of each calibrated state"
    )
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    found = solved(arguments.experiment, arguments.folder, arguments.sizes, arguments.banks)
    methods = Methods(found, arguments.prove)
    rows: list[Row] = []
    for size, configuration in found.configurations.items():
        rows += methods.rows(f"{size:g} MB", configuration)
        write(rows, arguments.folder / "calibration.json")
    rows += methods.activations()
    write(rows, arguments.folder / "calibration.json")
    show(rows)


def write(rows: list[Row], path: Path) -> None:
    path.write_text(json.dumps(rows, indent=1) + "\n")


def show(rows: list[Row]) -> None:
    table = Table("configuration", "method", "evaluation", "confirmation", "seconds", "weights by", "package")
    for row in rows:
        figures = [f"{row[key]:.4g}" if key in row else "" for key in ("evaluation", "confirmation", "seconds")]
        methods = ", ".join(f"{count} {method}" for method, count in dict(row.get("weights by", {})).items())
        table.add_row(str(row["configuration"]), str(row["method"]), *figures, methods, str(row.get("package", "")))
    Console().print(table)


if __name__ == "__main__":
    main()
