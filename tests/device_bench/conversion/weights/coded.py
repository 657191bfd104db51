"""Programs of coded tensors, as a front end would leave them."""

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.conversion.weights.weight_codes import WeightCodes


def function_of(codes: WeightCodes, body, shape=(1, 6), target=ct.target.iOS18):
    """The main function of a program: ``body`` makes it of an input and of ``tensor(name)``."""

    def tensor(name: str):
        return mb.const(val=np.asarray(codes.parameter(name).detach().numpy()), name=name)

    @mb.program(input_specs=[mb.TensorSpec(shape=shape)], opset_version=target)
    def program(x):
        return body(x, tensor)

    return program.functions["main"]
