"""Which inputs can be rounded to 8 bits, and what the record says of 8-bit layers whose inputs stay in fp16."""

import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.rounded_inputs import inputs_in_fp16, roundable_layers
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.evaluators.every_use import every_layer, every_use, sentences


def test_inputs_of_every_product_can_be_rounded_whatever_code_makes_it():
    found = roundable_layers(every_use(), sentences(1)[0], every_layer())
    uncalled = {"attention.in_proj_weight", "attention.out_proj", "functional", "product", "summed", "conv1d"}
    assert found == {"dense", *uncalled}  # an LSTM has floats, a GRU takes all its gates in one op


def test_a_module_whose_weight_is_used_beside_its_call_keeps_its_inputs():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.beside = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            return nn.functional.linear(self.beside(self.twice(self.twice(x))), self.beside.weight)

    model = Beside().eval()
    assert roundable_layers(model, (torch.randn(1, 8),), layers_of(model)) == {"twice"}


def test_every_8_bit_layer_that_is_not_rounded_is_named_with_the_reason():
    layers = {layer.name: layer for layer in every_layer()}
    names = ("dense", "words", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "gru.weight_ih_l0.0")
    int8 = dict.fromkeys(names, Encoding.parse("int8"))
    encodings = {**int8, "summed": Encoding.parse("lut4")}
    rounded = Configuration(encodings, {"dense": Precision.INT8})
    notes = inputs_in_fp16(rounded, layers)
    assert sorted(notes) == [
        "8-bit activations: inputs in fp16 of gru.weight_ih_l0.0: neither a module called on floats nor ops that take it "
        "alone are all that uses it, or it was left out",
        "8-bit activations: inputs in fp16 of lstm.weight_ih_l0, lstm.weight_hh_l0: Core ML's recurrent ops take their "
        "inputs and states as floats",
        "8-bit activations: inputs in fp16 of words: a look-up takes integers",
    ]
    assert inputs_in_fp16(Configuration(encodings), layers) == ()
