"""fp16 beside float32: what cannot be held is found and named, what can be is let through."""

import functools

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.runtime import ProgramError, check_precision
from palettune.space.target import DeploymentTarget
from tests.device_bench.runtime import packages

IOS18 = DeploymentTarget.parse("iOS18")
LOW = torch.finfo(torch.float32).min


def inputs(seed=0, rows=1, width=32):
    return (torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)),)


class Network(nn.Module):
    """Linear layers around a module with a fault."""

    def __init__(self, fault, width=32):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.ModuleDict({"first": nn.Linear(width, width), "fault": fault})
        self.head = nn.Linear(width, 8)

    def forward(self, x):
        return self.head(self.body["fault"](self.body["first"](x)))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Scaled(nn.Module):
    """A layer whose output is far beyond fp16, and a normalization that brings it back."""

    def __init__(self, layer, scale, norm):
        super().__init__()
        self.layer, self.norm = layer, norm
        with torch.no_grad():
            self.layer.weight.mul_(scale)

    def forward(self, x):
        return self.norm(self.layer(x))


class Convolution(Scaled):
    def forward(self, x):
        return super().forward(x[:, None])[:, 0]


class Attention(nn.Module):
    """One head over 8 tokens of 4 features, with a mask made by ``mask`` of the padding (1 where there is a token)."""

    def __init__(self, mask, gain=1.0):
        super().__init__()
        self.mask, self.gain = mask, gain
        self.query, self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        tokens = x.reshape(x.shape[0], 8, 4)
        present = (x[:, ::4] > -1.5).float()  # some tokens are padding, never all
        scores = self.query(tokens) @ self.key(tokens).transpose(1, 2) * self.gain
        scores = self.mask(scores, present[:, None])
        return (scores.softmax(-1) @ self.value(tokens)).flatten(1)


def handmade_norm(x):
    """The variance of values around 500 is beyond fp16, the values are not."""
    spread = 500 * x
    variance = ((spread - spread.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    return spread / (variance + 1e-5).sqrt()


def added(value):
    return lambda scores, present: scores + (1.0 - present) * value


def filled(value):
    return lambda scores, present: scores.masked_fill(present == 0, value)


def causal(value):
    return torch.full((8, 8), value).triu(1)


def masked_twice(value, everything):
    """The last token is padding and later than the others; or, twice, every token is masked for the first."""

    def mask(scores, present):
        padding = torch.zeros(8)
        padding[0 if everything else 7 :] = value
        return scores + (torch.full((8, 8), value).triu(0 if everything else 1) + padding)

    return mask


@functools.cache
def checked(build, traced=False):
    """A check of a network, traced or exported."""
    import tempfile
    from pathlib import Path

    module = build().eval()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if traced:
            patch.setattr("palettune.device_bench.conversion.conversion._exported", lambda *_: 1 / 0)
        package = convert(module, inputs(), IOS18)
        path = Path(folder) / "net.mlpackage"
        package.save(str(path))
        samples = [inputs(seed, rows=2) for seed in range(3)]
        return check_precision(path, samples, reference=module, modules=op_modules(package))


FAULTS = {
    "linear": (lambda: Scaled(nn.Linear(32, 32), 3e5, nn.LayerNorm(32)), "linear", "body.fault.layer"),
    "conv": (lambda: Convolution(nn.Conv1d(1, 1, 3, padding=1), 2e6, nn.LayerNorm(32)), "conv", "body.fault.layer"),
    "squared norm": (
        lambda: Function(lambda x: x * 400 / ((x * 400) ** 2).sum(-1, keepdim=True).sqrt()),
        ("mul", "square", "pow", "reduce_sum", "reduce_l2_norm", "reduce_sum_square"),
        "body.fault",
    ),
    "exp": (
        lambda: Function(lambda x: (x * 30).exp() / (x * 30).exp().sum(-1, keepdim=True)),
        "exp",
        "body.fault",
    ),
    "variance": (lambda: Function(handmade_norm), ("pow", "square", "mul", "reduce_mean"), "body.fault"),
    "sum": (
        lambda: Function(lambda x: 300 * (300 * x / (x.abs() * 0 + 3e3).sum(-1, keepdim=True))),
        "reduce_sum",
        "body.fault",
    ),
    "product": (lambda: Function(lambda x: (x * 3e4) * (x.abs() + 9) / 1e5), "mul", "body.fault"),
    "division": (lambda: Function(lambda x: x / (x.abs() * 0 + 1e-6) * 1e-6), "real_div", "body.fault"),
}


@pytest.mark.matrix(6)
@pytest.mark.parametrize("traced", [False, True], ids=["exported", "traced"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_overflow_is_found_with_its_op_and_module(fault, traced):
    make, kind, module = FAULTS[fault]
    check = checked(_network(make), traced)
    assert check.failed
    assert not check.warned
    assert check.samples == 6
    assert check.cause.overflow
    assert not check.cause.mask
    assert check.cause.op_type in kind
    assert check.cause.module == module
    assert check.cause.largest > 65504
    assert "space.float32" in str(check)
    assert repr(module) in str(check)
    assert check.cause.op in str(check)


@functools.cache
def _network(make):
    return lambda: Network(make())


MASKS = {
    "product with zero": added(LOW),  # 0 * -inf
    "product with -1e9": lambda scores, present: scores + (2.0 - present) * -1e9,
    "sum of two": masked_twice(LOW / 2, True),
    "sum of two in half": masked_twice(-65504.0, True),
    "subtracted": lambda scores, present: scores - (2.0 - present) * 1e30,
    "filled": lambda scores, present: scores.masked_fill(present < 2, LOW),  # every position
}


@pytest.mark.matrix(3)
@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_beyond_fp16_is_told_apart_from_activations(mask):
    check = checked(_attention(MASKS[mask]))
    assert check.failed
    assert check.cause.mask
    assert "-1e4" in check.cause.mend
    assert "space.float32" not in str(check)
    assert check.cause.module in ("body.fault", "body.fault.mask")


@functools.cache
def _attention(mask, gain=1.0):
    return lambda: Network(Attention(mask, gain))


def test_scores_that_overflow_beside_a_harmless_mask_are_no_fault_of_the_mask():
    check = checked(_attention(filled(LOW), 1e7))
    assert check.failed
    assert not check.cause.mask
    assert check.cause.op_type in ("mul", "matmul")


FINE = {
    "near the end": lambda: Network(Scaled(nn.Linear(32, 32), 5e4, nn.LayerNorm(32))),
    "a mask of -inf": lambda: Network(Attention(filled(-torch.inf))),
    "a mask of finfo.min": lambda: Network(Attention(filled(LOW))),
    "a causal mask of -inf": lambda: Network(
        Attention(lambda scores, _: scores.masked_fill(causal(1) > 0, -torch.inf))
    ),
    "a causal mask of finfo.min": lambda: Network(Attention(lambda scores, _: scores + causal(LOW))),
    "two masks of -1e4": lambda: Network(Attention(masked_twice(-1e4, False))),
    "an unused constant": lambda: Network(Function(lambda x: x + 0 * torch.tensor(1.0) * (torch.tensor(3e38) > 1))),
    "a clamp at infinity": lambda: Network(Function(lambda x: x.clamp(-3e38, 3e38))),
}


@pytest.mark.matrix(4)
@pytest.mark.parametrize("network", FINE)
def test_what_fp16_holds_is_let_through(network):
    check = checked(FINE[network])
    assert not check.failed, str(check)
    assert not check.warned, str(check)
    assert check.cause is None
    assert check.non_finite == 0
    assert 0 < check.loss < 1e-4


def test_a_mask_that_the_converter_makes_nan_of_is_found():
    """coremltools folds ``triu`` of minus infinity to zero times infinity, in float32 too."""
    check = checked(lost)
    assert torch.isfinite(lost()(*inputs())).all()
    assert check.failed
    assert check.cause.mask
    assert check.cause.module == "body.fault"
    assert "not a number" in str(check)


def lost():
    return Network(Attention(lambda scores, _: scores + causal(-torch.inf)))


def test_the_network_near_the_end_is_near_it():
    network = FINE["near the end"]()
    largest = 0.0

    def note(_module, _inputs, output):
        nonlocal largest
        largest = max(largest, float(output.abs().max()))

    network.body["fault"].layer.register_forward_hook(note)
    for seed in range(3):
        network(*inputs(seed, rows=2))
    assert 3e4 < largest < 65504


def test_what_is_not_finite_in_float32_either_is_no_matter_of_precision():
    check = checked(_attention(filled_everywhere))
    assert torch.isnan(Network(Attention(filled_everywhere))(*inputs())).all()
    assert not check.failed
    assert check.cause is None


def filled_everywhere(scores, present):
    return scores.masked_fill(present < 2, -torch.inf)


def cancelled():
    return Network(Function(lambda x: ((x + 2000) - 2000) * 3))


def test_lost_precision_is_a_warning_that_names_the_op():
    check = checked(cancelled)
    assert check.warned
    assert not check.failed
    assert check.cause.op_type in ("add", "sub")
    assert not check.cause.overflow
    assert check.cause.module == "body.fault"
    assert "loses" in str(check)
    assert 'space.float32 = ["body.fault"]' in str(check)


class Choice(nn.Module):
    """The index of the largest of some logits."""

    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, nn.Linear(32, 16)

    def forward(self, x):
        return self.function(self.layer(x)).argmax(-1)


def test_an_output_of_integers_is_judged_by_the_floats_behind_it():
    torch.manual_seed(0)
    overflow = checked(_choice(lambda x: (x + 5) * 1e5))
    assert overflow.failed
    assert overflow.cause.overflow
    masked = checked(_choice(lambda x: x.masked_fill(x < 0, LOW)))
    assert not masked.failed, str(masked)
    assert masked.cause is None


@functools.cache
def _choice(function):
    return lambda: Choice(function)


def test_a_state_is_judged_as_an_output_is(tmp_path):
    path = packages.counter(tmp_path / "counter.mlpackage")
    assert not check_precision(path, [(torch.tensor([1.0, 2.0]),)]).failed
    check = check_precision(path, [(torch.tensor([4e4, 2.0]),)])
    assert check.failed
    (output,) = [output for output in check.outputs if output.non_finite]
    assert output.name == "twice"
    assert check.cause.module is None


def test_no_samples_are_refused(tmp_path):
    path = packages.dense(tmp_path / "dense.mlpackage")
    with pytest.raises(ProgramError, match="no samples"):
        check_precision(path, [])
    with pytest.raises(ProgramError, match="takes 1 inputs"):
        check_precision(path, [(torch.zeros(1, 8), torch.zeros(1))])
