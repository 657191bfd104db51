"""Basic Pitch: the runtime on its Core ML package, onnxruntime on its ONNX twin."""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import ComputePrecision, as_stored, compare, load
from palettune.device_bench.runtime.signal import signal_to_noise
from palettune.evaluators.compression.compression import compress
from palettune.search.experiment.experiment import load_experiment
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.legality import refusal

FOLDER = Path(__file__).parents[2] / "experiments" / "basic_pitch"
# Outputs of one network: the package's name and the ONNX file's.
TWINS = {f"Identity{suffix}": f"StatefulPartitionedCall:{place}" for place, suffix in enumerate(("", "_1", "_2"))}

pytestmark = pytest.mark.skipif(
    find_spec("basic_pitch") is None, reason="pip install --no-deps basic-pitch==0.4.0, as `make install` does"
)


@pytest.fixture(scope="module")
def workload():
    sys.path.insert(0, str(FOLDER))
    try:
        spec = spec_from_file_location("basic_pitch_workload", FOLDER / "workload.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def evaluated(workload):
    """Sound, notes, and the runtime's outputs on the first batch of the evaluation data."""
    (sound,), notes = next(iter(workload.evaluation_data()))
    return sound, notes, load(workload.model()).run({"input_2": sound})


def test_outputs_are_those_of_onnxruntime(workload, evaluated):
    runtime = pytest.importorskip("onnxruntime")
    sound, _, outputs = evaluated
    session = runtime.InferenceSession(str(workload.saved_models() / "nmp.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(None, {session.get_inputs()[0].name: sound.numpy()}), strict=True))
    for name, twin in TWINS.items():
        assert signal_to_noise(outputs[name], torch.from_numpy(expected[twin])) > 90, name


def test_the_notes_that_were_synthesised_are_heard(workload, evaluated):
    _, notes, outputs = evaluated
    assert workload.metrics(outputs, notes)["frame_f1"] > 0.75
    silent = {name: torch.zeros_like(value) for name, value in outputs.items()}
    assert workload.metrics(silent, notes)["frame_f1"] == 0


def test_emulated_fp16_does_nothing_to_a_program_in_fp32(workload, evaluated):
    sound, _, outputs = evaluated
    half = load(workload.model(), precision=ComputePrecision.FP16).run({"input_2": sound[:1]})
    assert all(torch.equal(half[name], outputs[name][:1]) for name in TWINS)


def test_splits_are_disjoint_and_the_same_every_time(workload):
    notes = sys.modules["notes"]
    parts = {split: notes.windows(split)[0] for split in notes.SPLITS}
    seen = {part.tobytes() for sounds in parts.values() for part in sounds}
    assert len(seen) == sum(len(part) for part in parts.values())
    np.testing.assert_array_equal(parts["evaluation"], notes.windows("evaluation")[0])
    assert workload.example_inputs()[0].shape == (1, 43844, 1)
    assert next(iter(workload.calibration_data()))[1] is None


def test_the_package_is_the_model_of_the_experiment(workload, evaluated, tmp_path):
    sound, _, outputs = evaluated
    experiment = load_experiment(FOLDER / "experiment.toml")
    module, target = PackageModule(workload.model()), experiment.deployment_target
    layers = layers_of(module)
    assert len(layers) == 9
    assert max(len(layer.tied) for layer in layers) == 8  # one kernel for each of nine octaves
    for encoding in map(Encoding.parse, experiment.space.encodings):
        assert any(refusal(layer, encoding, target) is None for layer in layers), encoding
    configuration = Configuration({layer.name: Encoding.parse("uint8-asym") for layer in layers})
    base = base_program(module, (sound[:1],), target, layers)
    for layer in layers:
        install(module, layer, compress(module.get_submodule(layer.name).weight, layer, Encoding.parse("uint8-asym")))
    out = tmp_path / "out.mlpackage"
    convert(module, (sound[:1],), target).save(str(out))
    proof = prove(out, module, (sound[:1],), configuration, layers, target, base=base)
    assert proof.passed, proof.failures
    assert weight_bytes(out) == base.rest_bytes + configuration_bytes(layers, configuration, target)
    assert weight_bytes(workload.model()) > 3.5 * weight_bytes(out)
    assert compare(out, as_stored(module), [(sound[:1],)]).snr_db > 80
    compressed = load(out).run({"input_2": sound[:2]})
    assert all(signal_to_noise(compressed[name], outputs[name][:2]) > 18 for name in TWINS)
