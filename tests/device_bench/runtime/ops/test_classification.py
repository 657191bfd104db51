"""Classifiers: the label and the probabilities of each class."""

import coremltools as ct
import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import load


def test_a_classifier_names_its_class(tmp_path):
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)).eval()
    model = ct.convert(
        torch.jit.trace(module, torch.randn(1, 4)),
        inputs=[ct.TensorType("x", shape=(1, 4))],
        classifier_config=ct.ClassifierConfig(["cat", "dog", "eel"]),
        minimum_deployment_target=ct.target.iOS16,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "labels.mlpackage"))
    x = torch.randn(1, 4)
    label, table = load(tmp_path / "labels.mlpackage").run({"x": x}).values()
    expected = module(x)[0]
    assert label == ["cat", "dog", "eel"][int(expected.argmax())]
    assert table == pytest.approx(dict(zip(["cat", "dog", "eel"], expected.tolist(), strict=True)), abs=1e-2)
