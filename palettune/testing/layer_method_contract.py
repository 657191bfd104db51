"""Contract suite for calibration methods of single layers: what every ``LayerMethod`` has to do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer
from palettune.space.legality import refusal
from palettune.space.sparsity import nonzero_count
from palettune.space.target import DeploymentTarget
from palettune.testing.layer_tasks import LAYERS, task_of

__all__ = ["LayerMethodContract"]

ENCODINGS = (
    "lut4", "lut2", "lut4-g8", "lut3-g8in", "lut6", "lut4-scaled", "lut4-v2", "int8", "int4", "int4-b8", "uint4", "int4-tensor",
    "int8-asym", "sparse50", "sparse75+lut4", "sparse50+int8", "sparse2:4", "sparse50+int4",
)  # fmt: skip


class LayerMethodContract:
    """Tests of one layer method, or of several by a parametrised fixture.

    Override the fixture ``method``, which returns the class, and ``improving`` where the method does not lower the
    output error in every encoding. The method is tried on six kinds of layers, in every encoding of ``ENCODINGS``
    that is legal for the layer and that the method applies to.
    """

    @pytest.fixture
    def method(self) -> type[LayerMethod]:
        """Return the class under test."""
        raise NotImplementedError("override the fixture `method`: return the LayerMethod subclass to test")

    def improving(self, method: type[LayerMethod]) -> float:
        """Return the share of encodings in which the method has to beat data-free weights in output error."""
        return 1.0

    @pytest.mark.parametrize("kind", LAYERS)
    def test_it_returns_the_encoding_with_less_output_error(self, method: type[LayerMethod], kind: str) -> None:
        """Check that weights keep the data-free form and lower the squared output error on correlated inputs."""
        torch.manual_seed(3)
        module = LAYERS[kind]()
        layer = _layer_of(module)
        ratios = {}
        for encoding in _encodings(method, layer):
            task = task_of(module, encoding)
            found = method.find(task)
            _check_form(found, task)
            after, before = (sum(task.statistics.errors(w.weight - task.weight, layer)) for w in (found, task.start))
            ratios[str(encoding)] = after / before
        assert sum(ratio < 1 for ratio in ratios.values()) >= self.improving(method) * len(ratios), ratios

    def test_equal_tasks_give_equal_weights(self, method: type[LayerMethod]) -> None:
        """Check that equal inputs and seeds give equal weights, and that the float weight is unchanged."""
        torch.manual_seed(3)
        module = LAYERS["linear"]()
        encoding = _encodings(method, _layer_of(module))[0]
        before = module.get_parameter("weight").detach().clone()
        first, second = (method.find(task_of(module, encoding)) for _ in range(2))
        assert torch.equal(first.weight, second.weight)
        assert torch.equal(module.get_parameter("weight"), before)

    def test_it_does_not_apply_to_an_uncompressed_layer(self, method: type[LayerMethod]) -> None:
        """Check that the method refuses fp16, which leaves nothing to choose."""
        assert not method.applies(_layer_of(LAYERS["linear"]()), Encoding.parse("fp16"))


def _layer_of(module: nn.Module) -> Layer:
    (layer,) = layers_of(nn.Sequential(module))
    return layer


def _encodings(method: type[LayerMethod], layer: Layer) -> list[Encoding]:
    legal = [e for e in map(Encoding.parse, ENCODINGS) if refusal(layer, e, DeploymentTarget.IOS18) is None]
    return [encoding for encoding in legal if method.applies(layer, encoding)]


def _check_form(found: CompressedWeight, task: LayerTask) -> None:
    """The metadata of the data-free weight, values that fp16 holds, and the sparsity asked for."""
    assert torch.isfinite(found.weight).all()
    assert torch.equal(found.weight, found.weight.half().float()), task.encoding
    assert found.buffers.keys() == task.start.buffers.keys(), task.encoding
    assert all(found.buffers[key].shape == value.shape for key, value in task.start.buffers.items()), task.encoding
    if task.encoding.sparsity is not None:
        wanted = nonzero_count(task.layer, task.encoding.sparsity)
        assert 0.97 * wanted <= int(found.weight.count_nonzero()) <= wanted
