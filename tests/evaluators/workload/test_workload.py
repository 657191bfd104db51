"""Workload files, good and bad."""

import textwrap

import pytest
import torch

from palettune.evaluators.workload.workload import Split, WorkloadError, load_workload

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


def workload(tmp_path, **functions):
    """The good file with other bodies of some functions."""
    text = textwrap.dedent(GOOD)
    for name, body in functions.items():
        text += f"\ndef {name}{'(outputs, targets)' if name in ('metrics', 'loss') else '()'}:\n"
        text += textwrap.indent(textwrap.dedent(body), "    ")
    return load_workload(write(tmp_path, text))


LAYERS = "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))"


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64"])
def test_other_float_types_are_taken_to_float32_and_said_once(tmp_path, kind):
    found = workload(
        tmp_path,
        model=f"return {LAYERS}.to(torch.{kind})",
        example_inputs=f"return (torch.zeros(1, 4, dtype=torch.{kind}),)",
        evaluation_data=f"for _ in range(3):\n    yield (torch.ones(2, 4, dtype=torch.{kind}),), torch.ones(2, dtype=torch.{kind})\n",
    )
    found.check()
    assert {tensor.dtype for tensor in found.model.state_dict().values()} == {torch.float32}
    batches = found.batches(Split.EVALUATION)
    assert {value.dtype for value in (*found.example_inputs, *(b.inputs[0] for b in batches))} == {torch.float32}
    assert batches[0].targets.dtype is getattr(torch, kind)
    said = {note.removeprefix(f"{found.path}: ") for note in found.notes}
    assert len(said) == len(found.notes)
    assert said == {
        f"model(): the model is {kind}: converted to float32",
        f"example_inputs(): inputs are {kind}: converted to float32",
        f"evaluation_data(): inputs are {kind}: converted to float32",
    }


def test_a_file_in_float32_has_no_notes(tmp_path):
    found = load_workload(write(tmp_path, GOOD))
    found.check()
    assert found.notes == []


@pytest.mark.parametrize("where", ["top", "model"])
def test_a_default_type_that_the_file_sets_is_its_own(tmp_path, where):
    setting = "torch.set_default_dtype(torch.float64)\n"
    text = textwrap.dedent(GOOD)
    text = text.replace("from torch import nn\n", "from torch import nn\n" + setting) if where == "top" else text
    text = text.replace("torch.manual_seed(0)\n", "torch.manual_seed(0)\n    " + setting) if where == "model" else text
    found = load_workload(write(tmp_path, text))
    found.check()
    assert torch.get_default_dtype() is torch.float32
    assert any("model(): the model is float64" in note for note in found.notes)


def test_a_forward_pass_that_names_a_type_is_said_to_do_so(tmp_path):
    text = GOOD.replace(
        "def model():",
        "class Half(nn.Linear):\n    def forward(self, x):\n        return super().forward(x.to(torch.bfloat16))\n\n"
        "def model():\n    return Half(4, 3).to(torch.bfloat16)\n\ndef old():",
    )
    with pytest.raises(
        WorkloadError, match=r"the model is bfloat16: converted to float32; if something in its forward"
    ):
        load_workload(write(tmp_path, text)).check()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"return torch.jit.script(torch.ao.quantization.quantize_dynamic({LAYERS}, {{nn.Linear}}))", r"model\(\) returned a program of torch that cannot be used: .* quantized already"),
        ("return 'network.pt'", r"model\(\) returned a program of torch that cannot be used: .*network\.pt: no such file"),
        ("return nn.Sequential(nn.LazyLinear(3))", r"model\(\) returned a model whose module '0' \(LazyLinear\) has no shapes"),
        ("return nn.Linear(4, 3, device='meta')", r"model\(\) returned a model whose module '' \(Linear\) has no values"),
        (f"return torch.ao.quantization.quantize_dynamic({LAYERS}, {{nn.Linear}})", r"module '0' \(Linear\) is quantized already"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_taken_are_refused_in_words(tmp_path, body, words):
    with pytest.raises(WorkloadError, match=words):
        workload(tmp_path, model=body).check()


def test_computed_weights_are_folded_when_the_model_is_loaded(tmp_path):
    found = workload(
        tmp_path,
        model="from torch.nn.utils.parametrizations import weight_norm\nreturn nn.Sequential(weight_norm(nn.Linear(4, 3)))",
    )
    found.check()
    assert list(found.model.state_dict()) == ["0.bias", "0.weight"]
    assert found.kept == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "return torch.jit.script(nn.Sequential(nn.Linear(4, 3, dtype=torch.float16)))",
        "return torch.export.export(nn.Sequential(nn.Linear(4, 3)), (torch.ones(2, 4),), dynamic_shapes=({0: torch.export.Dim('n')},))",
        "file = __file__ + '.pt'; torch.jit.script(nn.Sequential(nn.Linear(4, 3))).save(file); return file",
    ],
)
def test_programs_of_torch_are_models(tmp_path, body):
    found = workload(tmp_path, model=body)
    found.check()
    assert {name: value.dtype for name, value in found.model.named_parameters()} == {
        "0.weight": torch.float32,
        "0.bias": torch.float32,
    }
    assert not found.model.training


def test_a_folding_that_would_change_outputs_is_noted(tmp_path):
    text = GOOD.replace(
        "def model():",
        "@torch.jit.script\ndef unseen(weight):\n    return weight * 1\n\nclass Twofold(nn.Linear):\n    def forward(self, x):\n"
        "        weight = self.weight * 2\n        return nn.functional.linear(x, weight.exp()) + nn.functional.linear(x, unseen(weight))\n\n"
        "def model():\n    return Twofold(4, 3)\n\ndef old():",
    )
    found = load_workload(write(tmp_path, text))
    found.check()
    (note,) = found.notes
    assert note.startswith(f"{found.path}: model(): weights that are computed before use (weight) stay as they are")


RETURNS = """
class Returns(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        return {}

def model():
    return Returns(4, 3)
"""


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("y, {y}", r"model\(\) gives outputs that cannot be compared: output\.1 is a builtins\.set"),
        ("{'y': y, 'more': [object()]}", r"model\(\) .*output\.more\.0 is a builtins\.object; expected tensors"),
        ("y.numpy()", r"model\(\) .*output is a numpy\.ndarray"),
        ("y.argmax(-1)", r"model\(\) gave no floating-point output"),
        ("None", r"model\(\) gave no floating-point output"),
        ("y, torch.fft.fft(y)", r"model\(\) gave complex numbers at output\.1; return torch\.view_as_real"),
    ],
)
def test_outputs_that_cannot_be_taken_name_the_model(tmp_path, returned, words):
    text = GOOD[: GOOD.index("def metrics")] + RETURNS.format(returned)
    with pytest.raises(WorkloadError, match=words):
        load_workload(write(tmp_path, text)).check()


@pytest.mark.parametrize(
    ("returned", "read"),
    [
        ("collections.OrderedDict(logits=y, none=None)", "outputs['logits'].shape[0] + (outputs['none'] is None)"),
        ("Pair(y, 'text')", "outputs.logits.shape[0] + (outputs.words == 'text')"),
        ("(y, None, {'aux': [y]}, 3)", "outputs[2]['aux'][0].shape[0] + (outputs[1] is None)"),
    ],
)
def test_metrics_get_the_models_own_object_and_loss_gets_it_raw(tmp_path, returned, read):
    functions = (
        f"import collections\nPair = collections.namedtuple('Pair', ['logits', 'words'])\n{RETURNS.format(returned)}\n"
        f"def metrics(outputs, targets):\n    return {{'read': {read}}}\n"
        f"def loss(outputs, targets):\n    return torch.tensor(float({read}))\n"
    )
    found = load_workload(write(tmp_path, GOOD[: GOOD.index("def metrics")] + functions))
    with torch.inference_mode():
        outputs = [found.model(*batch.inputs) for batch in found.batches(Split.EVALUATION)]
        assert found.metrics(outputs) == {"read": 16.0}
        assert found.loss(outputs[0], None) == 6.0
