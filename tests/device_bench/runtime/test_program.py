import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from torch import nn

from palettune.device_bench.runtime import Colour, ComputePrecision, ExecutionError, ProgramError, load
from tests.device_bench.runtime import packages


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return packages.dense(tmp_path_factory.mktemp("dense") / "dense.mlpackage")


def by_hand(program, x, names=("dense_weight_0", "dense_bias_0")):
    weight, bias = (program.weights[name].tensor for name in names)
    return torch.relu(x @ weight.T + bias)


def test_weights_are_listed_with_their_uses(dense):
    weights = load(dense).weights
    assert {name: weight.uses[0].parameter for name, weight in weights.items()} == {
        "dense_weight_0": "weight",
        "dense_bias_0": "bias",
    }
    assert weights["dense_weight_0"].uses[0].op_name == "dense"
    assert weights["dense_weight_0"].encoding is None
    assert weights["dense_weight_0"].tensor.shape == (16, 8)


def test_weights_can_be_replaced_and_have_gradients(dense):
    program, x = load(dense), torch.randn(5, 8)
    weight = torch.randn(16, 8, requires_grad=True)
    (output,) = program.run({"x": x}, weights={"dense_weight_0": weight}).values()
    bias = program.weights["dense_bias_0"].tensor
    expected = torch.relu(x @ weight.T + bias)
    assert torch.allclose(output, expected, atol=1e-5)
    mine = torch.autograd.grad(output.square().sum(), weight)[0]
    theirs = torch.autograd.grad(expected.square().sum(), weight)[0]
    assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    (again,) = program.run({"x": x}).values()
    assert torch.allclose(again, by_hand(program, x), atol=1e-5)


def test_gradients_pass_the_rounding_to_half(tmp_path):
    module = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    example = torch.randn(1, 8)
    exported = torch.export.export(module, (example,)).run_decompositions({})
    path = tmp_path / "half.mlpackage"
    ct.convert(exported, minimum_deployment_target=ct.target.iOS16, skip_model_load=True).save(str(path))
    gradients = []
    for precision in ComputePrecision:
        program = load(path, precision=precision)
        name = next(name for name, weight in program.weights.items() if weight.tensor.dim() == 2)
        weight = program.weights[name].tensor.clone().requires_grad_()
        (output,) = program.run({"input": example}, weights={name: weight}).values()
        output.sum().backward()
        gradients.append(weight.grad)
    assert gradients[0].abs().sum() > 0
    assert torch.allclose(*gradients, rtol=0.02, atol=1e-3)


def test_intermediate_values_are_captured_and_observed(dense):
    program, x = load(dense), torch.randn(1, 8)
    values = program.run({"x": x}, capture=["dense"])
    assert torch.equal(values["dense"].relu(), values["y"])
    seen = []
    program.run({"x": torch.randn(3, 8)}, observe=lambda name, value: seen.append((name, tuple(value.shape))))
    assert seen == [("dense", (1, 16)), ("y", (1, 16))] * 3


@pytest.mark.parametrize("vectorize", [True, False])
def test_every_sample_of_a_batch_is_computed_on_its_own(dense, vectorize):
    program, x = load(dense), torch.randn(4, 8)
    (together,) = program.run({"x": x}, vectorize=vectorize).values()
    assert together.shape == (4, 16)
    for row in range(4):
        assert torch.allclose(together[row : row + 1], program.run({"x": x[row : row + 1]})["y"], atol=1e-6)


@pytest.mark.parametrize("vectorize", [True, False])
def test_a_batch_keeps_samples_apart_where_the_program_mixes_rows(vectorize, tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        whole = mb.reshape(x=x, shape=[1, 2, 2])
        return mb.sub(x=whole, y=mb.reduce_mean(x=whole, axes=[0, 1, 2], keep_dims=True), name="y")

    path = packages.save(program, tmp_path / "mix.mlpackage", ct.target.iOS17)
    x = torch.randn(3, 4)
    (y,) = load(path).run({"x": x}, vectorize=vectorize).values()
    assert torch.allclose(y.reshape(3, 4), x - x.mean(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("vectorize", [True, False])
def test_an_output_without_a_row_dimension_is_refused_for_batches(vectorize, tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        return mb.reshape(x=x, shape=[2, 2], name="y")

    path = packages.save(program, tmp_path / "square.mlpackage", ct.target.iOS17)
    assert load(path).run({"x": torch.randn(1, 4)})["y"].shape == (2, 2)
    with pytest.raises(ProgramError, match="one at a time"):
        load(path).run({"x": torch.randn(3, 4)}, vectorize=vectorize)


@pytest.mark.parametrize(
    ("x", "count", "picked"), [([4, 2, 2], 4, -0.25), ([0.5, 0.4, 0.05], 0, 100.5), ([1, 1, 1], 2, 100.25)]
)
def test_control_flow(x, count, picked, tmp_path):
    program = load(packages.halving(tmp_path / "loop.mlpackage"))
    values = program.run({"x": [x]})
    assert float(values["count"]) == count
    assert float(values["picked"][0, 0]) == pytest.approx(picked)


def test_a_batch_whose_samples_take_different_courses(tmp_path):
    program = load(packages.halving(tmp_path / "loop.mlpackage"))
    x = torch.tensor([[4.0, 2, 2], [0.5, 0.4, 0.05]])
    with pytest.raises(ProgramError, match="'count' has shape"):
        program.run({"x": x}, vectorize=True)


def test_states_live_from_run_to_run(tmp_path):
    program = load(packages.counter(tmp_path / "state.mlpackage"))
    state = program.new_state()
    assert list(program.run({"x": [1.0, 2.0]}, state=state)["twice"]) == [2, 4]
    assert list(program.run({"x": [1.0, 1.0]}, state=state)["twice"]) == [4, 6]
    assert list(state["total"]) == [2, 3]
    assert list(program.run({"x": [1.0, 2.0]})["twice"]) == [2, 4]
    with pytest.raises(ProgramError, match="states"):
        program.run({"x": [1.0, 2.0]}, state={})


def test_functions_of_one_package(tmp_path):
    one = packages.dense(tmp_path / "one.mlpackage", seed=1)
    two = packages.dense(tmp_path / "two.mlpackage", seed=2)
    description = ct.utils.MultiFunctionDescriptor()
    description.add_function(str(one), "main", "first")
    description.add_function(str(two), "main", "second")
    description.default_function_name = "second"
    both = tmp_path / "both.mlpackage"
    ct.utils.save_multifunction(description, str(both))
    x = {"x": torch.randn(1, 8)}
    assert torch.equal(load(both, "first").run(x)["y"], load(one).run(x)["y"])
    assert torch.equal(load(both).run(x)["y"], load(two).run(x)["y"])
    with pytest.raises(ProgramError, match=r"no function 'frist'.*did you mean 'first'"):
        load(both, "frist")


@pytest.mark.parametrize("colour", ["RGB", "BGR", "GRAYSCALE"])
def test_images(colour, tmp_path):
    channels = 1 if colour == "GRAYSCALE" else 3
    module = nn.Conv2d(channels, 4, 3).eval()
    bias = [-0.5] * channels if channels > 1 else -0.5
    image = ct.ImageType("picture", (1, channels, 6, 5), scale=1 / 128, bias=bias, color_layout=ct.colorlayout[colour])
    example = torch.randn(1, channels, 6, 5)
    model = ct.convert(
        torch.jit.trace(module, example),
        inputs=[image],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "image.mlpackage"))
    program = load(tmp_path / "image.mlpackage")
    assert program.inputs["picture"].colour is Colour[colour]
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5) if channels == 1 else (6, 5, 3), dtype=np.uint8)
    layers = torch.tensor(pixels).float().reshape(6, 5, channels).permute(2, 0, 1)[None]
    layers = layers.flip(1) if colour == "BGR" else layers
    (output,) = program.run({"picture": pixels}).values()
    assert torch.allclose(output, module(layers / 128 - 0.5), atol=1e-4)
    (raw,) = program.run({"picture": layers}).values()
    assert torch.equal(raw, output)
    with pytest.raises(ProgramError, match=r"picture .* is expected"):
        program.run({"picture": pixels.reshape(-1)})


def test_flexible_shapes(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    size = ct.RangeDim(4, 12, default=8)
    shape = ct.Shape((ct.RangeDim(1, 6, default=1), 3, size, size))
    model = ct.convert(
        torch.jit.trace(module, torch.randn(1, 3, 8, 8)),
        inputs=[ct.TensorType("x", shape=shape)],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "flexible.mlpackage"))
    program = load(tmp_path / "flexible.mlpackage")
    for sizes in ((1, 3, 8, 8), (5, 3, 4, 12)):
        x = torch.randn(sizes)
        assert torch.allclose(next(iter(program.run({"x": x}).values())), module(x), atol=1e-5)
    with pytest.raises(ProgramError, match="1 to 6, 3, 4 to 12"):
        program.run({"x": torch.randn(1, 3, 8, 13)})


def test_enumerated_shapes(tmp_path):
    module = nn.Conv1d(2, 3, 3).eval()
    shapes = ct.EnumeratedShapes(shapes=[(1, 2, 8), (1, 2, 16)], default=(1, 2, 8))
    model = ct.convert(
        torch.jit.trace(module, torch.randn(1, 2, 8)),
        inputs=[ct.TensorType("x", shape=shapes)],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "shapes.mlpackage"))
    program = load(tmp_path / "shapes.mlpackage")
    x = torch.randn(3, 2, 16)
    assert torch.allclose(next(iter(program.run({"x": x}).values())), module(x), atol=1e-5)
    with pytest.raises(ProgramError, match=r"\(1, 2, 8\) or \(1, 2, 16\)"):
        program.run({"x": torch.randn(1, 2, 9)})


def test_wrong_names_and_shapes(dense):
    program = load(dense)
    with pytest.raises(ProgramError, match="no input 'X', only x"):
        program.run({"X": torch.randn(1, 8)})
    with pytest.raises(ProgramError, match="input 'x' is missing"):
        program.run({})
    with pytest.raises(ProgramError, match=r"shape \(1, 9\); \(1, 8\) is expected"):
        program.run({"x": torch.randn(1, 9)})
    with pytest.raises(ProgramError, match=r"no weight 'dense_weight'.*did you mean"):
        program.run({"x": torch.randn(1, 8)}, weights={"dense_weight": torch.zeros(1)})
    with pytest.raises(ProgramError, match=r"shape \(16, 8\) is expected, got \(8, 16\)"):
        program.run({"x": torch.randn(1, 8)}, weights={"dense_weight_0": torch.zeros(8, 16)})
    with pytest.raises(ProgramError, match="no op makes a value 'dence'"):
        program.run({"x": torch.randn(1, 8)}, capture=["dence"])


def test_a_failing_op_is_named(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 4))], opset_version=ct.target.iOS17)
    def program(x):
        place = mb.cast(x=mb.reduce_sum(x=x, axes=[0, 1], keep_dims=False), dtype="int32")
        return mb.gather(x=x, indices=place, axis=1, name="picked")

    path = packages.save(program, tmp_path / "fails.mlpackage", ct.target.iOS17)
    assert load(path).run({"x": [[0.5, 0.5, 0.5, 0.5]]})["picked"] == 0.5
    with pytest.raises(ExecutionError, match="op 'picked' of type 'gather'"):
        load(path).run({"x": [[1.0, 1, 1, 2]]})
