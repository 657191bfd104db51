"""Every layer method: exactly its encoding, and less output error than data-free on correlated inputs."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.layer_choices import layer_methods
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables
from palettune.space.encoding import Encoding
from palettune.space.legality import refusal
from palettune.space.sparsity import nonzero_count
from palettune.space.target import DeploymentTarget
from tests.evaluators.calibration.layer_tasks import LAYERS, task_of

ENCODINGS = (
    "lut4", "lut2", "lut4-g8", "lut3-g8in", "lut6", "lut4-scaled", "lut4-v2", "int8", "int4", "int4-b8", "uint4", "int4-tensor",
    "int8-asym", "sparse50", "sparse75+lut4", "sparse50+int8", "sparse2:4", "sparse50+int4",
)  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("method", layer_methods(), ids=lambda m: m.name)
def test_a_method_gives_its_encoding_and_errs_less(method, kind):
    torch.manual_seed(3)
    module = LAYERS[kind]()
    (layer,) = layers_of(nn.Sequential(module))
    legal = [e for e in map(Encoding.parse, ENCODINGS) if refusal(layer, e, DeploymentTarget.IOS18) is None]
    chosen = [encoding for encoding in legal if method.applies(layer, encoding)]
    ratios = []
    for encoding in chosen:
        task = task_of(module, encoding)
        found = method.find(task)
        assert torch.isfinite(found.weight).all()
        assert torch.equal(found.weight, found.weight.half().float()), encoding
        assert found.buffers.keys() == task.start.buffers.keys(), encoding
        assert all(found.buffers[key].shape == value.shape for key, value in task.start.buffers.items()), encoding
        if encoding.sparsity is not None:
            wanted = nonzero_count(layer, encoding.sparsity)
            assert int(found.weight.count_nonzero()) <= wanted
            assert int(found.weight.count_nonzero()) >= 0.97 * wanted
        after, before = (sum(task.statistics.errors(w.weight - task.weight, layer)) for w in (found, task.start))
        ratios.append(after / before)
    if method is SensitiveTables:  # weighs elements one by one, blind to how they make up for each other
        assert sum(ratio < 1 for ratio in ratios) >= len(ratios) / 2
    else:
        assert all(ratio < 1.0 for ratio in ratios), dict(zip(map(str, chosen), ratios, strict=True))


def test_every_kind_of_encoding_has_a_method():
    (layer,) = layers_of(nn.Sequential(nn.Linear(32, 24)))
    for spelling in ("lut4", "lut4-g8", "int8", "int4-b8", "sparse50", "sparse50+lut4"):
        assert any(method.applies(layer, Encoding.parse(spelling)) for method in layer_methods()), spelling
    assert not any(method.applies(layer, Encoding.parse("fp16")) for method in layer_methods())
