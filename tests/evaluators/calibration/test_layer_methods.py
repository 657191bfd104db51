"""Every layer method: exactly its encoding, and less output error than data-free compression on correlated inputs."""

import json

import pytest
import torch
from coremltools.optimize.torch.palettization import SKMPalettizer, SKMPalettizerConfig
from torch import nn

from evaluators.calibration.compensated_tables import CompensatedTables, refitted
from evaluators.calibration.compensation import compensated
from evaluators.calibration.gptq import GPTQMethod
from evaluators.calibration.layer_method import LayerTask
from evaluators.calibration.layer_methods import LayerChoices, layer_methods
from evaluators.calibration.layer_statistics import LayerStatistics, as_matrices
from evaluators.calibration.samples import calibration_samples
from evaluators.calibration.sensitive_tables import SensitiveTables, clipped
from evaluators.calibration.sparse_gpt import SparseGPTMethod
from evaluators.compression import compress
from space.encoding import Encoding
from space.kept import kept_values
from space.legality import refusal
from space.modules import layers_of
from space.target import DeploymentTarget
from tests.evaluators.workflow_cases import setting_of

LAYERS = {
    "linear": lambda: nn.Linear(32, 24),
    "pointwise": lambda: nn.Conv2d(32, 24, 1),
    "convolution": lambda: nn.Conv2d(8, 16, 3),
    "grouped": lambda: nn.Conv1d(16, 16, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, groups=16),
}
ENCODINGS = (
    "lut4", "lut2", "lut4-g8", "lut3-g8in", "lut6", "lut4-scaled", "lut4-v2", "int8", "int4", "int4-b8", "uint4", "int4-tensor",
    "int8-asym", "sparse50", "sparse75+lut4", "sparse50+int8", "sparse2:4", "sparse50+int4",
)  # fmt: skip


def task_of(module, encoding, seed=0):
    generator = torch.Generator().manual_seed(seed)
    (layer,) = layers_of(nn.Sequential(module))
    layer = type(layer)("0", layer.kind, layer.shape, layer.groups)
    columns = layer.parameters // layer.output_channels
    mixing = torch.randn(layer.groups, columns, columns, generator=generator)
    inputs = (
        mixing @ torch.randn(layer.groups, columns, 400, generator=generator) * torch.logspace(0, -2, columns)[:, None]
    )
    gram = inputs @ inputs.transpose(1, 2) / 400
    weight = module.weight.detach()
    statistics = LayerStatistics(gram, [inputs])
    importance = gram.diagonal(dim1=1, dim2=2)[:, None].expand_as(as_matrices(weight, layer)).reshape(weight.shape)
    start = compress(module, layer, encoding)
    return LayerTask(layer, encoding, weight, start, statistics, lambda _name: importance)


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
            wanted = kept_values(layer, encoding.sparsity)
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


def test_without_correlation_compensation_is_plain_rounding():
    weights = torch.randn(2, 5, 300, generator=torch.Generator().manual_seed(0))
    found = compensated(weights, torch.eye(300).expand(2, -1, -1), lambda _column, values: values.round())
    assert torch.equal(found, weights.round())


def test_refitted_tables_are_the_least_squares_ones():
    module = nn.Linear(12, 6)
    task = task_of(module, Encoding.parse("lut2"))
    weights = as_matrices(task.weight, task.layer)
    inputs = task.statistics.columns[0]
    indices = torch.randint(0, 4, weights.shape, generator=torch.Generator().manual_seed(1))
    found = refitted(weights, task.statistics.gram, indices, task.start.buffers["lut"], task.layer).flatten()
    design = torch.stack([(indices == entry).float() @ inputs for entry in range(4)], -1)  # (1, R, P, E)
    target = (weights @ inputs).flatten()
    expected = torch.linalg.lstsq(design.reshape(-1, 4), target[:, None]).solution.flatten()
    assert torch.allclose(found, expected, rtol=0.05, atol=0.01)


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


def test_choices_are_found_once_kept_in_the_bank_and_say_what_they_brought(tmp_path, monkeypatch):
    setting = setting_of(tmp_path, "transformer")
    samples = calibration_samples(setting.workload)
    encoding = Encoding.parse("lut2")
    start = setting.weights.get("up", encoding)
    choice = LayerChoices(setting, samples).choose("up", encoding, start)
    assert [gain.method for gain in choice.gains] == ["sensitive_k_means", "compensated_tables"]
    assert choice.method == "compensated_tables"
    assert choice.gains[1].kept
    assert choice.gains[1].layer == "up"
    json.dumps([gain.to_json() for gain in choice.gains])
    for method in (SensitiveTables, CompensatedTables):
        monkeypatch.setattr(method, "find", lambda task: pytest.fail("found again"))
    again = LayerChoices(setting, samples).choose("up", encoding, start)
    assert torch.equal(again.weight.weight, choice.weight.weight)


def test_a_method_that_fails_or_makes_it_worse_is_not_kept_and_says_why(tmp_path, monkeypatch):
    setting = setting_of(tmp_path, "transformer")
    samples = calibration_samples(setting.workload)
    encoding = Encoding.parse("int4")
    start = setting.weights.get("up", encoding)

    def raises(task):
        raise RuntimeError("no root")

    monkeypatch.setattr(GPTQMethod, "find", raises)
    choice = LayerChoices(setting, samples).choose("up", encoding, start)
    assert choice.method == "data_free"
    assert "no root" in choice.gains[0].reason
    worse = type(start)(start.weight * 1.5, start.buffers)
    monkeypatch.setattr(GPTQMethod, "find", lambda task: worse)
    choice = LayerChoices(setting, samples).choose("up", encoding, start)
    assert choice.method == "data_free"
    assert not choice.gains[0].kept
    assert choice.weight is start


def test_sparse_gpt_knows_what_it_cannot_do():
    grouped, spatial = (layers_of(nn.Sequential(m))[0] for m in (nn.Conv1d(8, 8, 3, groups=2), nn.Conv1d(8, 8, 3)))
    assert not SparseGPTMethod.applies(grouped, Encoding.parse("sparse50"))
    assert SparseGPTMethod.applies(spatial, Encoding.parse("sparse50"))
