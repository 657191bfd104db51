"""Choice of a layer's weight: the method with the least output error on held-out samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.compensated_tables import CompensatedTables
from palettune.evaluators.calibration.gptq import GPTQMethod
from palettune.evaluators.calibration.importance import Importance
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.calibration.layer_statistics import LayerStatistics, StatisticsCache, observable
from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables
from palettune.evaluators.calibration.sparse_gpt import SparseGPTMethod
from palettune.evaluators.placement import CPU, placed
from palettune.evaluators.quality.gain import Gain, failed, paired
from palettune.evaluators.weights.model_state import DATA_FREE, model_digest
from palettune.evaluators.weights.weight_bank import weight_digest
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import Layer

__all__ = ["Choice", "LayerChoices", "layer_methods"]


def layer_methods() -> tuple[type[LayerMethod], ...]:
    """Return every layer method in the order of trial; a new method is a file and an entry here."""
    return (SensitiveTables, CompensatedTables, GPTQMethod, SparseGPTMethod)


@dataclass(frozen=True)
class Choice:
    """The chosen weight of one layer in one encoding, the name of its method, and the gain of each method tried."""

    weight: CompressedWeight
    method: str
    gains: tuple[Gain, ...] = ()


class LayerChoices:
    """Chosen weights of one float model's layers, found once for each (layer, encoding).

    Args:
        setting: the workload, and the bank in which found weights are stored.
        samples: to fit on and to compare on.
    """

    def __init__(self, setting: WorkflowSetting, samples: CalibrationSamples) -> None:
        model, layers = setting.workload.model, setting.weights.layers.values()
        self._setting = setting
        self._statistics = StatisticsCache(placed(model, setting.device), layers, samples)
        self._importance = Importance(model, layers, setting.kind, samples, setting.seed, setting.device)
        self._chosen: dict[tuple[str, Encoding], Choice] = {}
        self._identity = {"data": samples.digest, "model": model_digest(model), "kind": setting.kind.value}
        if setting.device != CPU:  # other rounding, so other weights: each device has its own in the bank
            self._identity["device"] = setting.device.type

    def choose(self, name: str, encoding: Encoding, start: CompressedWeight) -> Choice:
        """Return the weight of least output error; the data-free ``start`` where no method improves on it."""
        if (name, encoding) not in self._chosen:
            self._chosen[name, encoding] = self._choose(name, encoding, start)
        return self._chosen[name, encoding]

    def _choose(self, name: str, encoding: Encoding, start: CompressedWeight) -> Choice:
        layer = self._setting.weights.layers[name]
        methods = [method for method in layer_methods() if method.applies(layer, encoding)]
        if not methods:
            return Choice(start, DATA_FREE, _no_method(layer, encoding))
        statistics = self._statistics.get(name)
        if statistics is None:
            reason = f"no statistics of the layer's inputs: {self._statistics.lacking(name)}"
            return Choice(start, DATA_FREE, tuple(failed(method.name, reason, name) for method in methods))
        weight = self._setting.weights.float_weight(name).float()
        task = self._task(layer, encoding, weight, start, statistics)
        best, best_name, errors = start, DATA_FREE, statistics.errors(start.effective - weight, layer)
        gains = []
        for method in methods:
            try:
                found = replace(self._found(method, task), scale=start.scale)
            except (
                ValueError,
                RuntimeError,
            ) as error:  # a Gram matrix that is not positive definite, or a layer that coremltools skips
                gains.append(failed(method.name, f"{type(error).__name__}: {error}", name))
                continue
            tried = statistics.errors(found.effective - weight, layer)
            gains.append(paired(method.name, errors, tried, name))
            if gains[-1].kept:
                best, best_name, errors = found, method.name, tried
        return Choice(best, best_name, tuple(gains))

    def _task(
        self, layer: Layer, encoding: Encoding, weight: Tensor, start: CompressedWeight, statistics: LayerStatistics
    ) -> LayerTask:
        """The task under the scales of the start, which a method finds no others for: those of the weight it is given."""
        scale = start.scale
        if scale is None:
            return LayerTask(layer, encoding, weight, start, statistics, self._importance.get, self._setting.seed)
        importance = lambda name: self._importance.get(name) * scale.square()  # noqa: E731
        stored = replace(start, scale=None)
        return LayerTask(layer, encoding, start.over_scale(weight), stored, statistics, importance, self._setting.seed)

    def _found(self, method: type[LayerMethod], task: LayerTask) -> CompressedWeight:
        """Return a method's weight from the bank, or find it now."""
        bank = self._setting.weights.bank
        # the name, because layers of equal weights have other inputs
        settings = {**self._identity, "layer": task.layer.name, "seed": task.seed, "version": method.version}
        key = bank.key(weight_digest(task.weight), task.layer, task.encoding, method.name, settings)
        return bank.obtain(key, lambda: method.find(task))


def _no_method(layer: Layer, encoding: Encoding) -> tuple[Gain, ...]:
    """What the record says of a layer that keeps its data-free weight untried; nothing where that is the float one."""
    if encoding == FP16:
        return ()
    of = f"{encoding} of this layer" if observable(layer) else f"a layer of kind {layer.kind}"
    return (replace(failed(DATA_FREE, f"no method finds weights for {of}", layer.name), kept=True),)
