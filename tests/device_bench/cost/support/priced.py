"""A small network, priced on a device."""

from hypothesis import strategies as st

from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding

MENU = ["fp16", "lut8", "lut4", "lut2", "lut4-g2", "int8", "int4-b32", "sparse75"]


LAYERS = ("l0", "l1", "l2", "c")


def network(positions=64, width=2048):
    b = ShapeBuilder()
    for i in range(3):
        b.linear(f"l{i}", (width, width), positions)
        b.norm(f"n{i}", width * positions)
    b.conv("c", (64, 64), (56, 56), 3)
    return b.build()


def model(unit="CPU_AND_NE", device="iPhone 15 Pro", positions=64, width=2048, **more):
    return prepare_latency(network(positions, width), device=device, unit=unit, **more)


def uniform(spelling, int8=False):
    activations = dict.fromkeys(LAYERS, Precision.INT8) if int8 else {}
    return Configuration({name: Encoding.parse(spelling) for name in LAYERS}, activations)


configurations = st.lists(st.sampled_from(MENU), min_size=4, max_size=4).map(
    lambda spellings: Configuration({n: Encoding.parse(s) for n, s in zip(LAYERS, spellings, strict=True)})
)
