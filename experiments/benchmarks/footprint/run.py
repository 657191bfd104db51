"""Predicted bytes against real weight files, on random layers and on random configurations of a network.

    python -m experiments.benchmarks.footprint.run --pairs 512 --configurations 50

Pairs: random layers side by side in packages; the bytes of each layer's constants in the real weight file must be
``layer_bytes``, and the file's size the base program's rest plus all of them. Configurations: random ones of
EfficientNet-Lite0, compressed and converted. Writes ``result.json`` beside this file; exits with 1 unless exact.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import logging
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.benchmarks.legality.run import samples
from experiments.benchmarks.random_layers import Sample, Side, example_input, package
from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import CompressedWeight, clear, install
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes
from palettune.evaluators.compression.compression import compress
from palettune.space.blob import ALIGNMENT
from palettune.space.encoding import Encoding
from palettune.space.footprint import configuration_bytes, layer_bytes
from palettune.space.layer import Layer
from palettune.space.legality import refusal
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

SPELLINGS = (
    *("lut8", "lut6", "lut4", "lut3", "lut2", "lut1", "lut4-g16", "lut6-g8in", "lut4-int8", "lut4-scaled"),
    *("int8", "int8-tensor", "uint8-asym", "int4-b32", "uint4-asym-b16"),
    *("sparse50", "sparse75", "sparse2:4", "sparse50-b4", "sparse50+lut4", "sparse75+int8"),
)
BATCH = 16
TARGETS = (DeploymentTarget.IOS18, DeploymentTarget.MACOS15, DeploymentTarget.IOS17, DeploymentTarget.MACOS13)
NETWORK = Path(__file__).parents[2] / "efficientnet_lite0"
log = logging.getLogger("footprint")


def legal(seed: int, target: DeploymentTarget) -> Iterator[tuple[Sample, CompressedWeight]]:
    """Legal random pairs without end, compressed, all for one target."""
    for sample in samples(seed):
        if refusal(sample.layer, sample.encoding, target) is None:
            yield (
                replace(sample, target=target),
                compress(sample.module.get_parameter("weight"), sample.layer, sample.encoding),
            )


def side_by_side(ready: Sequence[tuple[Sample, CompressedWeight]]) -> tuple[list[str], int]:
    """What is off in one package of several layers: each layer's bytes, and the whole file. And the file's size."""
    target = ready[0][0].target
    root, inputs = Side([s.module for s, _ in ready]), tuple(example_input(s.module) for s, _ in ready)
    base = base_program(root, inputs, target, layers_of(root))
    found = package([s.module for s, _ in ready], [c for _, c in ready], target)
    off, total = [], base.rest_bytes
    for (sample, compressed), weight in zip(ready, found.weights, strict=True):
        kept = int(compressed.weight.count_nonzero())
        predicted = layer_bytes(sample.layer, sample.encoding, target, kept)
        total += predicted
        if predicted != -(-weight.bytes // ALIGNMENT) * ALIGNMENT:
            where = f"{sample.layer.kind} {sample.layer.shape}, {sample.encoding}, {target}"
            off.append(f"{where}: {predicted} predicted, {weight.bytes} found")
    if total - found.file_bytes not in (range(ALIGNMENT) if base.ends_with_layer else (0,)):
        off.append(f"a file of {len(ready)} layers for {target}: {total} predicted, {found.file_bytes} found")
    return off, found.file_bytes


def pairs(count: int, seed: int) -> dict[str, Any]:
    """The comparison on random pairs, in packages of several layers."""
    off: list[str] = []
    files, done = [], 0
    for number in range(-(-count // BATCH)):
        target = TARGETS[number % len(TARGETS)]
        batch = list(itertools.islice(legal(seed + number, target), min(BATCH, count - done)))
        wrong, size = side_by_side(batch)
        off += wrong
        files.append(size)
        done += len(batch)
        log.info("%d pairs, %d not exact %s", done, len(off), off[-1:])
    return {"pairs": done, "files": len(files), "bytes": sum(files), "off": off}


def real(root: nn.Module, inputs: tuple[torch.Tensor, ...], target: DeploymentTarget) -> int:
    """Size of the weight file of the saved package."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.mlpackage"
        convert(root, inputs, target).save(str(path))
        return weight_bytes(path)


def network() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """EfficientNet-Lite0 of the experiment."""
    sys.path.insert(0, str(NETWORK))
    spec = importlib.util.spec_from_file_location("workload", NETWORK / "workload.py")
    assert spec is not None
    assert spec.loader is not None
    workload = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(workload)
    return workload.model(), workload.example_inputs()


def configurations(count: int, seed: int) -> dict[str, Any]:
    """The comparison on random whole-model configurations, on all three generations of targets."""
    rng = random.Random(seed)
    model, inputs = network()
    layers = layers_of(model)
    weights = Weights(model)
    off, sizes, foreseen = [], [], []
    bases = {target: base_program(model, inputs, target, layers) for target in set(TARGETS)}
    for index in range(count):
        target = TARGETS[index % len(TARGETS)]
        wanted = [e for e in map(Encoding.parse, SPELLINGS) if any(refusal(x, e, target) is None for x in layers)]
        space = SearchSpace.build(layers, wanted, target)
        chosen = space.from_parameters({name: rng.choice(options) for name, options in space.choices.items()})
        made = {layer.name: weights.of(layer, chosen.encodings[layer.name]) for layer in layers}
        for layer in layers:
            install(model, layer, made[layer.name])
        kept = {name: int(weight.weight.count_nonzero()) for name, weight in made.items()}
        predicted = bases[target].rest_bytes + configuration_bytes(layers, chosen, target, kept)
        before = bases[target].rest_bytes + configuration_bytes(layers, chosen, target)
        found = real(model, inputs, target)
        sizes.append(found)
        foreseen.append((before - found) / found)
        if predicted != found:
            off.append(f"{target}: {predicted} predicted, {found} found")
        log.info("%d configurations, %d not exact %s", index + 1, len(off), off[-1:])
        for layer in layers:
            clear(model, layer.name)
    ends = any(base.ends_with_layer for base in bases.values())
    return {
        "configurations": count,
        "exact": count - len(off),
        "smallest": min(sizes, default=0),
        "largest": max(sizes, default=0),
        "file_ends_with_a_layer": ends,
        "off": off,
        "exact_before_compressing": sum(error == 0 for error in foreseen),
        "largest_relative_error_before_compressing": max(map(abs, foreseen), default=0.0),
    }


class Weights:
    """Compressed weights of a network, each made once."""

    def __init__(self, model: nn.Module) -> None:
        self.float = {layer.name: layer_weight(model, layer).clone() for layer in layers_of(model)}
        self.made: dict[tuple[str, Encoding], CompressedWeight] = {}

    def of(self, layer: Layer, encoding: Encoding) -> CompressedWeight:
        """The weight of one layer in one encoding."""
        if (layer.name, encoding) not in self.made:
            self.made[layer.name, encoding] = compress(self.float[layer.name], layer, encoding)
        return self.made[layer.name, encoding]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--configurations", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("result.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    started = time.monotonic()
    result: dict[str, Any] = {"pairs": pairs(options.pairs, options.seed)}
    result["configurations"] = configurations(options.configurations, options.seed)
    result["seconds"] = round(time.monotonic() - started)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if not result["pairs"]["off"] and not result["configurations"]["off"] else 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    log.setLevel(logging.INFO)
    sys.exit(main())
