"""What scales that a normalization takes back gain: every layer in one encoding, with them and without, on unseen data.

``python -m experiments.benchmarks.free_scales.run`` writes ``result.json`` beside this file: the divergence on
the confirmation data of each network, and the seconds of one thread that compressing it took.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.experiment import Experiment
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding

EXPERIMENTS = ("experiments/efficientnet_lite0/experiment.toml", "experiments/fashion_mnist/experiment.toml")
ENCODINGS = ("lut8", "lut6", "lut4", "lut4-g16", "lut3", "lut2", "lut4-v2", "uint4-tensor", "sparse50+lut4")


def main() -> None:
    """Every encoding on every network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("experiments", nargs="*", default=EXPERIMENTS)
    parser.add_argument("--encodings", nargs="+", default=ENCODINGS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for path in arguments.experiments for row in measured(Path(path), arguments.encodings)]
    Path(__file__).with_name("result.json").write_text(json.dumps(rows, indent=1) + "\n")


def measured(path: Path, encodings: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of one network."""
    preparation = prepare(Experiment.load(path))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sides = {"without": _evaluator(preparation, folder, False), "with": _evaluator(preparation, folder, True)}
        for spelling in encodings:
            row: dict[str, Any] = {"network": path.parent.name, "encoding": spelling}
            row |= {side: _uniform(evaluator, Encoding.parse(spelling)) for side, evaluator in sides.items()}
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def _evaluator(preparation: Preparation, folder: str, scales: bool) -> DataFreeEvaluator:
    layers = preparation.layers if scales else tuple(replace(one, normalization=None) for one in preparation.layers)
    workload = preparation.workload
    weights = LayerWeights(workload.model, layers, WeightBank(Path(folder)), preparation.experiment.seed)
    split = Split.CONFIRMATION if workload.offers(Split.CONFIRMATION.value) else Split.EVALUATION
    return DataFreeEvaluator(WorkflowSetting(workload, weights, preparation.kind), split)


def _uniform(evaluator: DataFreeEvaluator, encoding: Encoding) -> dict[str, float]:
    """Every layer that can hold the encoding in it, the others in fp16."""
    weights = evaluator.setting.weights
    started, chosen = time.process_time(), {}
    for name in weights.layers:
        try:
            weights.get(name, encoding)
            chosen[name] = encoding
        except ValueError:  # groups or vectors do not divide its channels
            chosen[name] = FP16
    seconds = time.process_time() - started
    found = evaluator.measure(Configuration(chosen))
    assert isinstance(found, Evaluation), found
    scaled = sum(weights.get(name, one).scale is not None for name, one in chosen.items())
    return {"divergence": found.divergence, "scaled_layers": scaled, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    main()
