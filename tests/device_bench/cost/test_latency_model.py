import math
from dataclasses import replace

import pytest
from hypothesis import given, settings

from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.op import OpList
from palettune.device_bench.cost.placement import ComputeUnitError
from palettune.device_bench.devices.device import DeviceError
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget
from tests.device_bench.cost.support.priced import configurations, model, network, uniform


def test_weight_bound_programs_gain_and_compute_bound_ones_hardly():
    decode, prompt = model(positions=1), model(positions=2048)
    gain = [m.predict(uniform("fp16")).ms / m.predict(uniform("lut4")).ms for m in (decode, prompt)]
    assert gain[0] > 1.8
    assert gain[1] < 1.1


def test_layers_not_named_are_fp16_and_strangers_are_refused():
    assert model().predict(Configuration({})).ms == pytest.approx(model().predict(uniform("fp16")).ms)
    with pytest.raises(UserError, match="'stranger' is not in the program"):
        model().predict(Configuration({"stranger": Encoding()}))


def test_block_scales_cost_a_detour_on_the_neural_engine_and_gain_on_the_gpu():
    assert model(positions=1).predict(uniform("int4-b32")).ms > model(positions=1).predict(uniform("fp16")).ms
    gpu = model("CPU_AND_GPU", "M1 Max", positions=1, width=8192)
    assert gpu.predict(uniform("int4-b32")).ms < 0.7 * gpu.predict(uniform("fp16")).ms


def test_eight_bit_activations_pay_on_chips_with_the_fast_path():
    fast, slow = (model(device=device, positions=2048) for device in ("A17 Pro", "A14"))
    gains = [m.predict(uniform("int8")).ms / m.predict(uniform("int8", True)).ms for m in (fast, slow)]
    assert gains[0] > 1.4
    assert gains[0] > gains[1]


@pytest.mark.parametrize("spelling", ["fp16", "sparse75"])
def test_eight_bit_activations_gain_nothing_where_weights_are_floats(spelling):
    m = model(device="A17 Pro", positions=2048)
    assert m.predict(uniform(spelling, True)).ms == m.predict(uniform(spelling)).ms


def test_what_the_program_says_of_its_ops_stands_until_a_configuration_names_their_layer():
    plain = network(2048)
    int8, fp16 = uniform("int8", True), uniform("fp16")
    held = {op: StoredWeight.of(Encoding.parse("int8"), op.weight_shape) for op in plain if op.layer}
    said = OpList(replace(op, int8=op in held, stored=held.get(op)) for op in plain)
    options = {"device": "A17 Pro", "unit": "CPU_AND_NE"}
    found, asked = prepare_latency(said, **options), prepare_latency(plain, **options)
    assert found.predict(Configuration({})).ms == pytest.approx(asked.predict(int8).ms, rel=1e-12)
    assert found.predict(fp16).ms == pytest.approx(asked.predict(fp16).ms, rel=1e-12)
    nameless = prepare_latency(OpList(replace(op, layer=None) for op in said), **options)
    assert nameless.layers == ()
    assert nameless.predict(Configuration({})).ms == pytest.approx(asked.predict(int8).ms, rel=1e-12)


def test_before_ios_17_compression_changes_nothing():
    old = model(target=DeploymentTarget.IOS16, positions=1)
    assert old.predict(uniform("lut4")).ms == pytest.approx(old.predict(uniform("fp16")).ms)


@settings(deadline=None, max_examples=60)
@given(configurations, configurations)
def test_the_linear_costs_touch_the_prediction_and_stay_below_it(at, other):
    m = model()
    linear = m.linearized(at)

    def total(configuration):
        return linear.constant_ms + sum(linear.cost(n, e) for n, e in configuration.encodings.items())

    assert total(at) == pytest.approx(m.predict(at).ms, rel=1e-9)
    assert total(other) <= m.predict(other).ms * (1 + 1e-9)


@settings(deadline=None, max_examples=30)
@given(configurations)
def test_intervals_hold_the_estimate_and_equal_objects_predict_alike(configuration):
    m = model()
    estimate = m.predict(configuration)
    assert 0 < estimate.low < estimate.ms < estimate.high
    again = Configuration.from_json(configuration.to_json())
    assert m.predict(again) == estimate


def test_linear_costs_by_encoding_follow_the_layer_times():
    m = model(positions=1)
    costs = m.linearized(uniform("lut4")).layer_costs("l0", [Encoding.parse(s) for s in ("fp16", "lut8", "lut4")])
    assert list(costs.values()) == sorted(costs.values(), reverse=True)


def test_every_known_device_predicts_something_finite():
    from palettune.device_bench.devices.device import device_names

    for name in device_names():
        for unit in ("ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY"):
            ms = prepare_latency(network(), device=name, unit=unit).predict(uniform("lut4")).ms
            assert math.isfinite(ms)
            assert ms > 0


def test_bad_names_are_refused():
    with pytest.raises(DeviceError):
        model(device="iPhone 3G")
    with pytest.raises(ComputeUnitError):
        model(unit="TPU")


@pytest.mark.parametrize("unit", ["ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY"])
def test_an_op_in_float32_takes_longer_wherever_it_runs(unit):
    def wider(op):
        wide = op.name == "l1"
        return replace(
            op, float32=wide, read_bytes=op.read_bytes * (1 + wide), written_bytes=op.written_bytes * (1 + wide)
        )

    # A GPU computes in both alike, and streams a table as it is: what differs there is the bytes of plain weights.
    on_gpu = unit == "CPU_AND_GPU"
    plain = network(1 if on_gpu else 64)
    wide = OpList(map(wider, plain))
    for spelling in ("fp16", "lut4"):
        half, full = (
            prepare_latency(ops, device="iPhone 15 Pro", unit=unit).predict(uniform(spelling)).ms
            for ops in (plain, wide)
        )
        assert full >= half * (1.0 if on_gpu and spelling == "lut4" else 1.01)
    assert OpList.from_rows(wide.to_rows()) == wide
    older = [row[:-1] for row in plain.to_rows()]  # of a study from before there was the mark
    assert OpList.from_rows(older) == plain
