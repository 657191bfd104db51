"""Layer choices: of the methods that know a layer's encoding, the one whose weight errs least on held-out samples."""

from __future__ import annotations

from dataclasses import dataclass

from palettune.device_bench.conversion.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.compensated_tables import CompensatedTables
from palettune.evaluators.calibration.gptq import GPTQMethod
from palettune.evaluators.calibration.importance import Importance
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.calibration.layer_statistics import StatisticsCache, observable
from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables
from palettune.evaluators.calibration.sparse_gpt import SparseGPTMethod
from palettune.evaluators.quality.gain import Gain, failed, paired
from palettune.evaluators.weights.model_state import DATA_FREE, model_digest
from palettune.evaluators.weights.weight_bank import weight_digest
from palettune.evaluators.workflow import WorkflowSetting
from palettune.evaluators.workload.placement import CPU, placed
from palettune.space.encoding import Encoding

__all__ = ["Choice", "LayerChoices", "layer_methods"]


def layer_methods() -> tuple[type[LayerMethod], ...]:
    """Every method, in the order they are tried."""
    return (SensitiveTables, CompensatedTables, GPTQMethod, SparseGPTMethod)


@dataclass(frozen=True)
class Choice:
    """The weight taken for one layer in one encoding, whose it is, and what each method brought."""

    weight: CompressedWeight
    method: str
    gains: tuple[Gain, ...] = ()


class LayerChoices:
    """Finds, judges and keeps the weights of one float model's layers; each (layer, encoding) once.

    Args:
        setting: the workload and the bank that found weights go into.
        samples: to fit on and to judge by.
    """

    def __init__(self, setting: WorkflowSetting, samples: CalibrationSamples) -> None:
        model, layers = setting.workload.model, setting.weights.layers.values()
        self._setting = setting
        self._statistics = StatisticsCache(placed(model, setting.device), layers, samples)
        self._importance = Importance(model, setting.kind, samples, setting.seed, setting.device)
        self._chosen: dict[tuple[str, Encoding], Choice] = {}
        self._identity = {"data": samples.digest, "model": model_digest(model), "kind": setting.kind.value}
        if setting.device != CPU:  # other rounding, so other weights: each device has its own in the bank
            self._identity["device"] = setting.device.type

    def choose(self, name: str, encoding: Encoding, start: CompressedWeight) -> Choice:
        """The best weight of a layer; the data-free ``start`` where no method gains."""
        if (name, encoding) not in self._chosen:
            self._chosen[name, encoding] = self._choose(name, encoding, start)
        return self._chosen[name, encoding]

    def _choose(self, name: str, encoding: Encoding, start: CompressedWeight) -> Choice:
        layer = self._setting.weights.layers[name]
        methods = [method for method in layer_methods() if method.applies(layer, encoding)]
        statistics = self._statistics.get(name) if methods and observable(layer) else None
        if statistics is None:
            return Choice(start, DATA_FREE)
        weight = self._setting.weights.float_weight(name).float()
        task = LayerTask(layer, encoding, weight, start, statistics, self._importance.get, self._setting.seed)
        best, best_name, errors = start, DATA_FREE, statistics.errors(start.weight - weight, layer)
        gains = []
        for method in methods:
            try:
                found = self._found(method, task)
            except (ValueError, RuntimeError) as error:  # a matrix without a root, a layer that coremltools skips
                gains.append(failed(method.name, f"{type(error).__name__}: {error}", name))
                continue
            tried = statistics.errors(found.weight - weight, layer)
            gains.append(paired(method.name, errors, tried, name))
            if gains[-1].kept:
                best, best_name, errors = found, method.name, tried
        return Choice(best, best_name, tuple(gains))

    def _found(self, method: type[LayerMethod], task: LayerTask) -> CompressedWeight:
        """A method's weight, from the bank or found now."""
        bank = self._setting.weights.bank
        settings = {**self._identity, "seed": task.seed, "version": method.version}
        key = bank.key(weight_digest(task.weight), task.layer, task.encoding, method.name, settings)
        return bank.obtain(key, lambda: method.find(task))
