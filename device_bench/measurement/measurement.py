"""Latency measurement on this Mac, or on an attached iPhone or iPad, by coremltools' benchmarking interface.

Interface: ``coremltools.models.ml_program.experimental.perf_utils`` and ``remote_device``
(https://apple.github.io/coremltools/docs-guides/source/mlmodel-utilities.html); both exist on macOS only. This module is
written to that documentation and tested against a stand-in for it; it has not yet run on a device.
"""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from palettune.device_bench.cost.placement import ComputeUnit
from palettune.space.errors import UserError, suggestion

__all__ = ["Backend", "CoreMLBackend", "Measurement", "MeasurementError", "Runtime", "attached_devices", "measure"]

Result = TypeVar("Result")
DRIFT = 1.15
"""A last quarter this much slower than the first is a device that warms up."""
MINIMUM_RUNS = 8


class MeasurementError(UserError):
    """A measurement that is impossible here, or that failed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured latency.

    Attributes:
        device: name of the device as its system gives it.
        os: its system and version.
        compute_unit: Core ML's compute units.
        load_ms: time to load the compiled model, or None where it was not told.
        median_ms: median prediction time.
        spread_ms: interquartile range.
        fastest_ms: fastest prediction.
        runs: predictions that count, warm-up left out.
        drift: median of the last quarter of the runs over that of the first.
        drifted: whether that is enough to doubt the median: let the device cool and measure again.
        residency: processor -> share of the program's estimated cost placed on it; None where no plan was available.
    """

    device: str
    os: str
    compute_unit: ComputeUnit
    load_ms: float | None
    median_ms: float
    spread_ms: float
    fastest_ms: float
    runs: int
    drift: float
    drifted: bool
    residency: Mapping[str, float] | None

    def to_json(self) -> str:
        """Return the measurement as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Measurement:
        """Read the JSON of ``to_json``."""
        values = json.loads(text)
        return cls(**values | {"compute_unit": ComputeUnit(values["compute_unit"])})


@dataclass(frozen=True, slots=True)
class OpPlace:
    """Processor that the compute plan gives one op, and its share of the estimated cost; None where not stated."""

    processor: str
    cost: float | None


class Backend(Protocol):
    """Interface to Core ML that a measurement needs; all times in milliseconds."""

    def device(self) -> tuple[str, str]:
        """Return the name and the system of the device."""
        ...

    def load_times(self, path: Path, unit: ComputeUnit) -> Sequence[float]:
        """Load the model and return the times."""
        ...

    def predict_times(self, runs: int, warm_up: int) -> Sequence[float]:
        """Return the times of ``runs`` predictions on random inputs, after ``warm_up`` uncounted ones."""
        ...

    def plan(self) -> Sequence[OpPlace] | None:
        """Return where each op runs, or None where the system does not tell."""
        ...


Runtime = Callable[[str | None], Backend]
"""Makes a backend from the name of an attached device, or from None for this Mac: ``CoreMLBackend``, or a stand-in."""


def measure(
    path: str | Path,
    unit: str | ComputeUnit = ComputeUnit.ALL,
    *,
    device: str | None = None,
    runs: int = 100,
    warm_up: int = 5,
    backend: Backend | None = None,
) -> Measurement:
    """Measure the latency of a package.

    Args:
        path: an ``.mlpackage``.
        unit: Core ML's compute units.
        device: name of an attached iPhone or iPad; None for this Mac.
        runs: predictions that count.
        warm_up: predictions before them.
        backend: what talks to Core ML; coremltools by default.

    Raises:
        PackageError: not an ML program package.
        MeasurementError: this is no Mac, the device is not attached, too few runs, or Core ML failed.
    """
    if runs < MINIMUM_RUNS or warm_up < 0:
        raise MeasurementError(f"{runs} runs after {warm_up}: at least {MINIMUM_RUNS} runs are needed for a median")
    from palettune.device_bench.package.package import load_spec  # loads coremltools

    setting = ComputeUnit.parse(unit)
    load_spec(path)
    chosen = backend if backend is not None else CoreMLBackend(device)
    try:
        loads = list(chosen.load_times(Path(path), setting))
        times = list(chosen.predict_times(runs, warm_up))
        places = chosen.plan()
        name, system = chosen.device()
    except UserError:
        raise
    except Exception as error:  # coremltools raises what Core ML and Xcode's tools raise
        raise MeasurementError(f"{path}: Core ML could not run it with {setting}: {error}") from error
    return _summary(name, system, setting, loads, times, places)


def attached_devices() -> tuple[str, ...]:
    """Return the names of the iPhones and iPads attached to this Mac.

    Raises:
        MeasurementError: this is no Mac.
    """
    _check_mac()
    return tuple(device.name for device in _connected())


def _summary(
    name: str,
    system: str,
    setting: ComputeUnit,
    loads: Sequence[float],
    times: Sequence[float],
    places: Sequence[OpPlace] | None,
) -> Measurement:
    if len(times) < MINIMUM_RUNS or not all(0 < time < float("inf") for time in times):
        raise MeasurementError(f"{name}: {len(times)} usable prediction times came back; measure again")
    quarter = max(2, len(times) // 4)
    drift = statistics.median(times[-quarter:]) / statistics.median(times[:quarter])
    low, _, high = statistics.quantiles(times, n=4)
    return Measurement(
        name,
        system,
        setting,
        statistics.median(loads) if loads else None,
        statistics.median(times),
        high - low,
        min(times),
        len(times),
        drift,
        drift > DRIFT,
        _residency(places),
    )


def _residency(places: Sequence[OpPlace] | None) -> dict[str, float] | None:
    """Share of the estimated cost by processor; by number of ops where the plan estimates no cost."""
    if not places:
        return None
    costed = any(place.cost for place in places)
    weights = [(place.cost or 0.0) if costed else 1.0 for place in places]
    total = sum(weights)
    shares: dict[str, float] = {}
    for place, weight in zip(places, weights, strict=True):
        shares[place.processor] = shares.get(place.processor, 0.0) + weight / total
    return shares


class CoreMLBackend:
    """coremltools' benchmarker on this Mac, or on an attached device.

    Args:
        name: of an attached iPhone or iPad; None for this Mac.

    Raises:
        MeasurementError: this is no Mac, or no such device is attached.
    """

    def __init__(self, name: str | None = None) -> None:
        _check_mac()
        import asyncio

        self._loop = asyncio.new_event_loop()
        self._remote = None if name is None else self._prepared(name)
        self._benchmarker: Any = None

    def device(self) -> tuple[str, str]:
        """Return the name and the system of the device."""
        if self._remote is not None:
            return str(self._remote.name), f"{self._remote.type.value} {self._remote.os_version}"
        return platform.node(), f"macOS {platform.mac_ver()[0]}"

    def load_times(self, path: Path, unit: ComputeUnit) -> Sequence[float]:
        """Load the model once and return the time."""
        import coremltools as ct
        from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker

        model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit[unit.value], skip_model_load=True)
        self._benchmarker = MLModelBenchmarker(model=model, device=self._remote)
        return [float(ms) for ms in self._wait(self._benchmarker.benchmark_load(iterations=1)).samples]

    def predict_times(self, runs: int, warm_up: int) -> Sequence[float]:
        """Return the times of predictions on one set of random inputs."""
        if warm_up:
            self._wait(self._benchmarker.benchmark_predict(iterations=warm_up))
        return [float(ms) for ms in self._wait(self._benchmarker.benchmark_predict(iterations=runs)).samples]

    def plan(self) -> Sequence[OpPlace] | None:
        """Return the compute plan, one more prediction's time shared out by estimated costs; constants run nowhere."""
        found = self._wait(self._benchmarker.benchmark_operation_execution(iterations=1))
        used = [info for info in found if info.compute_device_usage is not None]
        places = [
            OpPlace(_processor(info.compute_device_usage.preferred_compute_device), _cost(info.measurement))
            for info in used
        ]
        return places or None

    def _prepared(self, name: str) -> Any:
        devices = _connected()
        for device in devices:
            if device.name == name:
                return self._wait(device.prepare_for_model_debugging())
        attached = ", ".join(device.name for device in devices) or "none"
        near = suggestion(name, [device.name for device in devices])
        raise MeasurementError(
            f"device {name!r} is not attached{near} Attached: {attached}; unlock it and trust this Mac"
        )

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(work)


def _processor(device: Any) -> str:
    """coremltools names the classes of processors ``MLNeuralEngineComputeDevice`` and so on."""
    name = type(device).__name__
    known = {"NeuralEngine": "neural_engine", "GPU": "gpu", "CPU": "cpu"}
    return next((unit for part, unit in known.items() if part in name), name)


def _cost(measurement: Any) -> float | None:
    return None if measurement.statistics is None else float(measurement.statistics.median)


def _connected() -> list[Any]:
    from coremltools.models.ml_program.experimental.remote_device import Device, DeviceType

    return [device for kind in (DeviceType.IPHONE, DeviceType.IPAD) for device in Device.get_connected_devices(kind)]


def _check_mac() -> None:
    if platform.system() != "Darwin":
        raise MeasurementError(
            f"latency is measured on a Mac, or on a device attached to one, and this is {platform.system()}; "
            "leave out --measure to predict it here"
        )
