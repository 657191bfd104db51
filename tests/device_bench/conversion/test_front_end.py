"""What tracing freezes, told apart from what it only measures."""

import warnings

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import converted
from palettune.device_bench.conversion.front_end import FrontEnd, export_refusal
from palettune.device_bench.runtime import as_stored, compare


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)


class Branch(Net):
    def forward(self, x):
        return self.a(x) if x.mean() > 0 else self.b(x)


class Sorted(Net):
    def forward(self, x):
        return self.a(x) if torch.equal(x, x.abs()) else self.b(x)


class Near(Net):
    def forward(self, x):
        return self.a(x) if torch.allclose(x, x.abs()) else self.b(x)


class Numbers(Net):
    def forward(self, x):
        scales = [float(value) for value in x.abs().mean(0)[:2]]
        return self.a(x) * scales[0] + scales[1]


class Turns(Net):
    def forward(self, x):
        for _ in range(int(x.abs().sum()) % 3 + 1):
            x = torch.relu(self.a(x))
        return x


class Until(Net):
    def forward(self, x):
        while x.abs().max() < 5:
            x = x + self.a(x).abs() + 1
        return x


class Numpy(Net):
    def forward(self, x):
        return self.a(x) * float(x.detach().numpy().max())


class OnlyTraced(Net):
    def forward(self, x):
        if torch.compiler.is_exporting():
            raise RuntimeError("not for the exporter")
        return self.a(x) if x.shape[1] > 4 else self.b(x)


class Sizes(Net):
    def forward(self, x):
        return self.a(x) if x.shape[1] > 4 else self.b(x)


class Item(Net):
    def forward(self, x):
        return self.a(x) / (1 + x.abs().max().item())


def front_end_of(kind):
    torch.manual_seed(0)
    module = kind().eval()
    return module, converted(module, (torch.rand(1, 8),), "iOS18")


@pytest.mark.parametrize(
    ("kind", "taken", "line"),
    [
        (Branch, "a Python boolean", "x.mean() > 0"),
        (Sorted, "a Python value", "torch.equal"),
        (Near, "a Python value", "torch.allclose"),
        (Numbers, "a Python float", "for value in"),
        (Turns, "a Python integer", "range(int("),
        (Until, "a Python boolean", "while"),
        (Numpy, "a NumPy array", "numpy()"),
    ],
)
def test_what_python_takes_from_data_is_named_with_its_line(kind, taken, line, tmp_path):
    module, conversion = front_end_of(kind)
    front_end = conversion.front_end
    assert front_end.traced
    found = [value for value in front_end.frozen if value.from_data and value.taken == taken]
    assert found, front_end
    assert line in found[0].source
    assert found[0].where.startswith("test_front_end.py:")
    assert found[0].where in front_end.warning
    assert front_end.refusal in front_end.warning
    assert front_end.to_json()["frozen"][0]["file"] == __file__
    conversion.model.save(str(tmp_path / "net.mlpackage"))
    other = [(-3 * torch.rand(1, 8),), (5 * torch.randn(1, 8),)]
    assert not compare(tmp_path / "net.mlpackage", as_stored(module), other).passed


def test_sizes_that_a_trace_reads_are_no_data():
    front_end = front_end_of(OnlyTraced)[1].front_end
    assert front_end.traced
    assert front_end.frozen
    assert not any(value.from_data for value in front_end.frozen)
    assert front_end.frozen_text == ""
    assert front_end.warning == f"converted by torch.jit.trace because torch.export failed: {front_end.refusal}"
    assert "not for the exporter" in front_end.refusal


@pytest.mark.parametrize("kind", [Sizes, Item])
def test_what_torch_export_takes_needs_no_warning(kind):
    front_end = front_end_of(kind)[1].front_end
    assert front_end == FrontEnd("torch.export")
    assert front_end.warning is None


def test_buffers_are_as_a_trace_leaves_them():
    class Counting(Branch):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += 1
            return super().forward(x)

    traced = Counting().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(traced, (torch.rand(1, 8),), check_trace=False)
    module = Counting().eval()
    from palettune.device_bench.conversion.conversion import _traced

    _traced(module, (torch.rand(1, 8),))
    assert torch.equal(module.seen, traced.seen)


def test_a_refusal_is_one_line_with_the_users_line():
    error = RuntimeError('cannot do it\nmore words\n  File "/nowhere/net.py", line 7, in forward\n    x = y\n')
    assert export_refusal(error) == "RuntimeError: cannot do it at net.py:7"
    assert export_refusal(RuntimeError("")) == "RuntimeError"
    data = RuntimeError('Could not guard on data-dependent expression\n  File "/a/n.py", line 3, in forward\n')
    assert export_refusal(data) == "forward() turns a tensor's data into a Python value at n.py:3"
