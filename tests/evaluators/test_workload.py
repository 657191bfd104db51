"""Workload files, good and bad."""

import textwrap

import pytest
import torch

from evaluators.workload import Split, WorkloadError, load_workload

GOOD = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

def example_inputs():
    return (torch.zeros(1, 4),)

def evaluation_data():
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        yield (torch.randn(5, 4, generator=generator),), torch.randint(3, (5,), generator=generator)

def metrics(outputs, targets):
    return {"top1": float((outputs.argmax(1) == targets).float().mean()), "count": len(targets)}
"""


def write(tmp_path, text):
    path = tmp_path / "workload.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_good_file_is_read_once_and_measured_over_all_batches(tmp_path):
    workload = load_workload(write(tmp_path, GOOD))
    workload.check()
    batches = workload.batches(Split.EVALUATION)
    assert [tuple(batch.inputs[0].shape) for batch in batches] == [(5, 4)] * 3
    assert batches is workload.batches(Split.EVALUATION)
    with torch.inference_mode():
        metrics = workload.metrics([workload.model(*batch.inputs) for batch in batches])
    assert metrics["count"] == 15
    assert not workload.model.training
    assert not any(p.requires_grad for p in workload.model.parameters())


def test_a_sibling_file_can_be_imported(tmp_path):
    (tmp_path / "palettune_sibling_network.py").write_text(
        "from torch import nn\ndef build(): return nn.Linear(4, 3)\n"
    )
    text = GOOD.replace(
        "def model():", "from palettune_sibling_network import build\n\ndef model():\n    return build()\n\ndef old():"
    )
    assert isinstance(load_workload(write(tmp_path, text)).model, torch.nn.Linear)


def test_data_of_any_layout_has_a_digest(tmp_path):
    from torch import Tensor

    def digest(values: Tensor) -> str:
        torch.save(values, tmp_path / "values.pt")
        text = GOOD.replace("torch.randn(5, 4, generator=generator)", f"torch.load({str(tmp_path / 'values.pt')!r})")
        return load_workload(write(tmp_path, text)).digest(Split.EVALUATION)

    values = torch.arange(20.0).reshape(5, 4)
    assert digest(values) == digest(values.t().contiguous().t())
    digest(torch.tensor(1.0))
    digest(torch.from_numpy(values.numpy()[..., None]).as_strided((5, 4, 1), (4, 1, 0)))  # as NumPy may leave it


def test_the_data_digest_follows_the_data(tmp_path):
    first = load_workload(write(tmp_path, GOOD)).digest(Split.EVALUATION)
    assert first == load_workload(write(tmp_path, GOOD)).digest(Split.EVALUATION)
    assert first != load_workload(write(tmp_path, GOOD.replace("manual_seed(1)", "manual_seed(2)"))).digest(
        Split.EVALUATION
    )


BAD = {
    "no model": (GOOD.replace("def model()", "def modell()"), r"function model\(\) is missing; did you mean 'modell'"),
    "does not import": ("import nothing_of_that_name", "does not import: ModuleNotFoundError"),
    "model fails": (GOOD.replace("torch.manual_seed(0)", "1 / 0"), r"model\(\) failed: ZeroDivisionError"),
    "model is no module": (GOOD.replace("return nn.Seq", "return (lambda *a: 3)(nn.Seq").replace("8, 3))", "8, 3)))"), r"model\(\) returned a int"),
    "example is a tensor": (GOOD.replace("return (torch.zeros(1, 4),)", "return torch.zeros(1, 4)"), r"example_inputs\(\) returned a tensor"),
    "example does not fit": (GOOD.replace("zeros(1, 4)", "zeros(1, 5)"), r"example_inputs\(\) gave inputs .* on which the model fails"),
    "no data": (GOOD.replace("range(3)", "range(0)"), r"evaluation_data\(\) gave no data"),
    "data are no pairs": (GOOD.replace("yield (torch.randn(5, 4, generator=generator),), ", "yield "), r"evaluation_data\(\) item 0 is not a pair"),
    "data inputs are no tuple": (GOOD.replace("yield (torch.randn(5, 4, generator=generator),)", "yield torch.randn(5, 4)"), "expected a tuple of tensors"),
    "data fail": (GOOD.replace("for _ in range(3):", "for i in range(3):\n        2 / (1 - i)"), r"evaluation_data\(\) failed at item 1: ZeroDivisionError"),
    "model gives nan": (GOOD.replace("nn.ReLU()", "nn.Threshold(1e9, float('nan'))"), r"not finite .* first layer to give one is '1'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_words(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(WorkloadError, match=message) as caught:
        load_workload(write(tmp_path, text)).check()
    assert str(tmp_path / "workload.py") in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("3", "expected a dict"),
        ("{'a': 'b'}", "expected a float"),
        ("{'a': float('nan')}", "finite"),
        ("1/0", "failed"),
    ],
)
def test_bad_metrics_are_refused_in_words(tmp_path, returned, message):
    text = GOOD[: GOOD.index("def metrics")] + f"def metrics(outputs, targets):\n    return {returned}\n"
    workload = load_workload(write(tmp_path, text))
    with pytest.raises(WorkloadError, match=rf"metrics\(\) .*{message}"):
        workload.metrics([torch.zeros(5, 3)] * 3)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match="no such workload file"):
        load_workload(tmp_path / "nothing.py")
