"""The stand-in is at coremltools' benchmarker: none of this has run on Apple hardware."""

import platform
import sys
import types
from dataclasses import dataclass, field

import coremltools as ct
import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.cost.placement import ComputeUnit, ComputeUnitError
from palettune.device_bench.measurement.measurement import MeasurementError, OpPlace, attached_devices, measure
from palettune.device_bench.package.package import PackageError
from palettune.space.target import DeploymentTarget


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("measured") / "linear.mlpackage"
    convert(nn.Sequential(nn.Linear(8, 8)).eval(), (torch.zeros(1, 8),), DeploymentTarget.IOS18).save(str(path))
    return path


@dataclass
class FakeBackend:
    times: list = field(default_factory=lambda: [2.0 + 0.01 * (i % 5) for i in range(100)])
    places: list | None = None
    failure: Exception | None = None
    asked: dict = field(default_factory=dict)

    def device(self):
        return "Pretend Mac", "macOS 15.0"

    def load_times(self, path, unit):
        self.asked["unit"] = unit
        return [31.0]

    def predict_times(self, runs, warm_up):
        self.asked.update(runs=runs, warm_up=warm_up)
        if self.failure:
            raise self.failure
        return self.times[:runs]

    def plan(self):
        return self.places


def test_a_steady_device_gives_median_spread_and_no_drift(package):
    backend = FakeBackend()
    found = measure(package, "cpu_and_ne", runs=40, warm_up=3, backend=backend)
    assert backend.asked == {"unit": ComputeUnit.CPU_AND_NE, "runs": 40, "warm_up": 3}
    assert found.median_ms == pytest.approx(2.02)
    assert found.spread_ms == pytest.approx(0.02)
    assert (found.load_ms, found.runs, found.drifted) == (31.0, 40, False)
    assert (found.device, found.os, found.residency) == ("Pretend Mac", "macOS 15.0", None)
    assert '"CPU_AND_NE"' in found.to_json()
    assert type(found).from_json(found.to_json()) == found


def test_a_device_that_warms_up_is_noticed(package):
    found = measure(package, runs=80, backend=FakeBackend([1.0 + 0.01 * i for i in range(80)]))
    assert found.drifted
    assert found.drift > 1.4


def test_residency_is_by_estimated_cost_and_by_count_without_any(package):
    costed = [OpPlace("neural_engine", 3.0), OpPlace("cpu", 1.0)]
    assert measure(package, backend=FakeBackend(places=costed)).residency == {"neural_engine": 0.75, "cpu": 0.25}
    counted = [OpPlace("gpu", None), OpPlace("gpu", None), OpPlace("cpu", None), OpPlace("cpu", None)]
    assert measure(package, backend=FakeBackend(places=counted)).residency == {"gpu": 0.5, "cpu": 0.5}


@pytest.mark.parametrize("times", [[], [1.0] * 3, [float("nan")] * 50, [0.0] * 50])
def test_times_that_are_none_are_a_failure(package, times):
    with pytest.raises(MeasurementError, match="usable prediction times"):
        measure(package, backend=FakeBackend(times))


def test_what_core_ml_raises_comes_with_the_package_and_the_unit(package):
    with pytest.raises(MeasurementError, match=r"linear\.mlpackage.*CPU_AND_GPU.*no memory"):
        measure(package, "CPU_AND_GPU", backend=FakeBackend(failure=RuntimeError("no memory")))


def test_bad_input_is_refused_before_anything_runs(package, tmp_path):
    backend = FakeBackend()
    with pytest.raises(PackageError):
        measure(tmp_path / "nothing.mlpackage", backend=backend)
    with pytest.raises(ComputeUnitError):
        measure(package, "TPU", backend=backend)
    with pytest.raises(MeasurementError, match="at least 8 runs"):
        measure(package, runs=1, backend=backend)
    assert backend.asked == {}


@pytest.mark.skipif(platform.system() == "Darwin", reason="the error is for other systems")
def test_elsewhere_than_on_a_mac_it_says_so(package):
    for attempt in (lambda: measure(package), lambda: measure(package, device="Ann's iPhone"), attached_devices):
        with pytest.raises(MeasurementError, match="measured on a Mac"):
            attempt()


@pytest.fixture
def benchmarker(monkeypatch):
    """coremltools' benchmarker and attached devices, replaced at their border; the system claims to be a Mac."""
    made = []

    @dataclass
    class Statistics:
        median: float

    @dataclass
    class Samples:
        samples: list
        statistics: Statistics | None = None

    class MLNeuralEngineComputeDevice:
        pass

    class MLCPUComputeDevice:
        pass

    class MLModelBenchmarker:
        def __init__(self, model, device=None):
            self.model, self.remote, self.calls = model, device, []
            made.append(self)

        async def benchmark_load(self, iterations=1):
            return Samples([12.5] * iterations)

        async def benchmark_predict(self, inputs=None, iterations=1, warmup=False):
            self.calls.append(iterations)
            return Samples([1.5] * iterations)

        async def benchmark_operation_execution(self, inputs=None, iterations=1, warmup=False):
            usage = types.SimpleNamespace
            return [
                usage(compute_device_usage=usage(preferred_compute_device=MLNeuralEngineComputeDevice()),
                      measurement=Samples([0.9], Statistics(0.9))),
                usage(compute_device_usage=usage(preferred_compute_device=MLCPUComputeDevice()),
                      measurement=Samples([0.1], Statistics(0.1))),
                usage(compute_device_usage=None, measurement=Samples([])),
            ]  # fmt: skip

    class Attached:
        name, os_version = "Ann's iPhone", "18.1"
        type = types.SimpleNamespace(value="iPhone")
        prepared = False

        async def prepare_for_model_debugging(self, credentials=None):
            self.prepared = True
            return self

        @staticmethod
        def get_connected_devices(kind):
            return [attached] if kind == "iphone" else []

    attached = Attached()
    experimental = "coremltools.models.ml_program.experimental"
    perf = types.SimpleNamespace(MLModelBenchmarker=MLModelBenchmarker)
    remote = types.SimpleNamespace(Device=Attached, DeviceType=types.SimpleNamespace(IPHONE="iphone", IPAD="ipad"))
    monkeypatch.setitem(sys.modules, f"{experimental}.perf_utils", perf)
    monkeypatch.setitem(sys.modules, f"{experimental}.remote_device", remote)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.2", ("", "", ""), "arm64"))
    return made, attached


def test_this_mac_is_measured_through_the_benchmarker(package, benchmarker):
    made, _ = benchmarker
    found = measure(package, "CPU_AND_NE", runs=20, warm_up=4)
    assert made[0].calls == [4, 20]
    assert made[0].model.compute_unit is ct.ComputeUnit.CPU_AND_NE
    assert (found.load_ms, found.median_ms, found.os) == (12.5, 1.5, "macOS 15.2")
    assert found.residency == {"neural_engine": pytest.approx(0.9), "cpu": pytest.approx(0.1)}


def test_an_attached_phone_is_prepared_and_measured(package, benchmarker):
    made, attached = benchmarker
    assert attached_devices() == ("Ann's iPhone",)
    found = measure(package, device="Ann's iPhone", runs=10)
    assert attached.prepared
    assert made[0].remote is attached
    assert (found.device, found.os) == ("Ann's iPhone", "iPhone 18.1")


def test_a_phone_that_is_not_attached_is_refused_with_those_that_are(package, benchmarker):
    with pytest.raises(MeasurementError, match=r"did you mean .*Ann's iPhone.*Attached: Ann's iPhone"):
        measure(package, device="Anns iPhone")
