"""Looks for the fault in a planted network where a user would meet it: before a search, or in an exported package."""

from __future__ import annotations

import inspect
import random
import tempfile
from pathlib import Path

import numpy as np
import torch

from experiments.benchmarks.planted_faults.networks import Branching, Fault, Planted, planted
from palettune.device_bench.conversion.base_program import BaseProgram, base_program
from palettune.device_bench.conversion.conversion import converted
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.package.package import PackageWeight, StoredPart
from palettune.device_bench.package.program_graph import program_nodes
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, execute, in_precisions
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.samples import spread_samples
from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.experiment import load_experiment
from palettune.search.preparation.fp16_check import run_in_fp16
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.results.weight_file_size import weight_file
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError

__all__ = ["look"]

_HEADER = 64
#: Output channels from which on a layer has its scales, and its indices, in the weight file.
_FEWEST = 12
_WORKLOAD = """
from experiments.benchmarks.planted_faults.networks import Fault, planted

NETWORK = planted({seed}, Fault({fault!r}))


def model():
    return NETWORK.module


def example_inputs():
    return NETWORK.example()


def evaluation_data():
    return NETWORK.data()
"""
_EXPERIMENT = """
name = "planted"
workload = "workload.py"
[space]
encodings = ["fp16", "lut6", "lut4", "int8", "int4"]
"""


def look(seed: int, fault: Fault) -> str | None:
    """What is wrong in finding one fault, in words; ``None`` where it is found by its name, or where there is none."""
    network = planted(seed, fault)
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), network)
        try:
            preparation = prepare(load_experiment(path))
            run_in_fp16(preparation).require()
        except UserError as error:
            return _judged(network, str(error))
        if fault in (Fault.OVERFLOW, Fault.FROZEN_BRANCH):
            return "not found before the search"
        if fault is Fault.LEAKING_BUFFER:
            return _leak(preparation, network)
        if fault is Fault.UNUSED_HEAD and "unused" not in preparation.base.refusals.get(f"{network.place}.unused", ""):
            return f"the unused head is not named: {dict(preparation.base.refusals)}"
        return _exported(preparation, network, Path(folder))


def _write(folder: Path, network: Planted) -> Path:
    (folder / "workload.py").write_text(_WORKLOAD.format(seed=network.seed, fault=network.fault.value))
    (folder / "experiment.toml").write_text(_EXPERIMENT)
    return folder / "experiment.toml"


def _judged(network: Planted, message: str) -> str | None:
    """Whether an error before the search names what was planted."""
    wanted = {Fault.OVERFLOW: f"'{network.place}'", Fault.FROZEN_BRANCH: f"networks.py:{_branching_line()}"}
    name = wanted.get(network.fault)
    if name is None:
        return f"refused: {message}"
    return None if name in message else f"{name} is not named: {message}"


def _branching_line() -> int:
    lines, first = inspect.getsourcelines(Branching.forward)
    return first + next(i for i, line in enumerate(lines) if "if x.mean()" in line)


def _leak(preparation: Preparation, network: Planted) -> str | None:
    """State is named, and measured from the same beginning each time."""
    sampling = preparation.workload.sampling
    if sampling.state.names != (f"{network.place}.seen",):
        return f"state found: {sampling.state.names}"
    items = [batch.inputs for batch in preparation.workload.batches(Split.EVALUATION)]
    model = preparation.workload.model
    first, again = (list(sampling.course(items).outputs(model)) for _ in range(2))
    equal = all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    return None if equal else "a second pass gives other outputs"


def _exported(preparation: Preparation, network: Planted, folder: Path) -> str | None:
    """Export one configuration, damage the package where that is the fault, and prove it."""
    rng = random.Random(f"{network.seed} configuration")
    configuration, victim = _configuration(preparation, network, rng)
    if configuration is None:
        return None
    workload, target = preparation.workload, preparation.experiment.deployment_target
    weights_of = LayerWeights(workload.model, preparation.layers, WeightBank(folder / "bank"))
    state = ModelState.data_free(configuration, weights_of, model_digest(workload.model))
    module = state.apply(workload.model)
    conversion = converted(module, workload.example_inputs, target)
    package = folder / "p.mlpackage"
    conversion.model.save(str(package))
    base, layers = preparation.base, preparation.layers
    if not state.keeps_the_rest:  # normalizations with scales of layers
        base = base_program(module, workload.example_inputs, target, layers)
    if victim is not None:
        _damage(package, base, victim, network.fault, rng)
    proof = prove(package, module, workload.example_inputs, configuration, layers, target, base=base)
    failed = {layer.layer for layer in proof.layers if layer.failures}
    if victim is not None:
        return None if failed == {victim} and not proof.rest else f"{victim} was damaged, found: {proof.failures}"
    file = weight_file(module, base, configuration, layers, target, proof)
    samples = spread_samples(workload.batches(Split.EVALUATION), 8).samples
    execution = execute(in_precisions(package, op_modules(conversion.model)), as_stored(module), samples)
    failures = [*proof.failures, *([] if file.passed else [str(file)]), *execution.failures]
    return f"a right package is not proven: {failures}" if failures else None


def _configuration(
    preparation: Preparation, network: Planted, rng: random.Random
) -> tuple[Configuration | None, str | None]:
    """A random configuration, and the layer to damage, where one is."""
    chosen = {layer.name: rng.choice(preparation.space.menus[layer.name].encodings) for layer in preparation.layers}
    asked = {Fault.FLIPPED_INDEX: "lut4", Fault.WRONG_SCALE: "int8"}.get(network.fault)
    if asked is None:
        return Configuration(chosen), None
    encoding = Encoding.parse(asked)
    able = [
        layer.name
        for layer in preparation.layers
        if encoding in preparation.space.menus[layer.name].encodings and layer.output_channels >= _FEWEST
    ]
    victim = rng.choice(able)
    return Configuration({**chosen, victim: encoding}), victim


def _damage(package: Path, base: BaseProgram, layer: str, fault: Fault, rng: random.Random) -> None:
    """Change one index of a layer's table, or one of its scales, in the saved weight file."""
    part = _part(package, base, layer, "indices" if fault is Fault.FLIPPED_INDEX else "scale")
    assert part.offset is not None
    file = package / "Data/com.apple.CoreML/weights" / part.offset[0]
    content = bytearray(file.read_bytes())
    start = part.offset[1] + _HEADER
    if fault is Fault.FLIPPED_INDEX:
        content[start + rng.randrange(part.value.size // 2)] ^= 1 << rng.randrange(8)
    else:
        content[start + 2 * rng.randrange(np.size(part.value))] ^= 1 << 7  # an eighth or so of the scale
    file.write_bytes(content)


def _part(package: Path, base: BaseProgram, layer: str, name: str) -> StoredPart:
    """The stored part of a layer's weight, found where the program uses it."""
    place = base.places[layer][0]
    weight = program_nodes(package)[place.node].operands[place.operand][place.position]
    assert isinstance(weight, PackageWeight)
    found = next((part for _, key, part in weight.parts() if key == name and part.offset is not None), None)
    assert found is not None, f"no {name} of {layer!r} in the weight file"
    return found
