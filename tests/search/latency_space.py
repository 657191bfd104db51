"""A small space of four layers whose latency is bound by arithmetic here and by weights there."""

import numpy as np

from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.evaluators.sensitivity.scores import Scores
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

TARGET = DeploymentTarget("iOS18")
MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4", "lut4-g2", "int8")]
WIDTHS = {"a": (512, 512, 900), "b": (2048, 512, 1), "c": (2048, 2048, 4), "d": (512, 2048, 64)}


def model(unit="CPU_AND_NE", device="iPhone 15 Pro"):
    b = ShapeBuilder()
    for name, (outputs, inputs, positions) in WIDTHS.items():
        b.linear(name, (inputs, outputs), positions)
        b.norm(f"norm {name}", outputs * positions)
    return prepare_latency(b.build(), device=device, unit=unit, target=TARGET)


def space(groups=()):
    layers = tuple(Layer(name, LayerKind.LINEAR, shape[:2]) for name, shape in WIDTHS.items())
    return SearchSpace.build(layers, MENU, TARGET, groups=groups)


def scores(seed):
    random = np.random.default_rng(seed)
    columns = tuple((name, e) for name in WIDTHS for e in MENU)
    bits = {"fp16": 16, "lut8": 8, "int8": 7.5, "lut4": 4, "lut4-g2": 5}
    level = {name: 10 ** random.uniform(-3, 0) for name in WIDTHS}
    row = [
        0.0 if str(e) == "fp16" else level[name] * 2.0 ** -bits[str(e)] * random.uniform(0.5, 2) for name, e in columns
    ]
    return Scores("made up", columns, np.array([row]))
