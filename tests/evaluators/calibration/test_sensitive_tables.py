"""Sensitive tables against coremltools itself."""

import torch
from coremltools.optimize.torch.palettization import SKMPalettizer, SKMPalettizerConfig
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.layer_method import LayerTask
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables, clipped
from palettune.space.encoding import Encoding
from palettune.testing.layer_tasks import task_of


def test_sensitive_tables_are_those_of_the_palettizer_itself(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 24, bias=False))
    importance = torch.rand(24, 32)
    (layer,) = layers_of(model)
    torch.save({"0.weight": clipped(importance)}, tmp_path / "sensitivity.pt")
    config = SKMPalettizerConfig.from_dict({"global_config": {"n_bits": 3}})
    theirs = SKMPalettizer(model, config).compress(
        sensitivity_path=str(tmp_path / "sensitivity.pt"), num_kmeans_workers=1
    )
    task = task_of(model[0], Encoding.parse("lut3"))
    task = LayerTask(layer, task.encoding, task.weight, task.start, task.statistics, lambda _name: importance)
    assert torch.allclose(SensitiveTables.find(task).weight, theirs[0].weight, atol=1e-3)
