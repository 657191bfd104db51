"""Which inputs can be rounded to 8 bits, and what the record says of 8-bit layers whose inputs stay in fp16."""

from palettune.evaluators.calibration.rounded_inputs import inputs_in_fp16, roundable_layers
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.evaluators.every_use import every_layer, every_use, sentences


def test_inputs_of_every_product_can_be_rounded_whatever_code_makes_it():
    found = roundable_layers(every_use(), sentences(1)[0], every_layer())
    uncalled = {"attention.in_proj_weight", "attention.out_proj", "functional", "product", "summed", "conv1d"}
    assert found == {"dense", *uncalled}  # an LSTM has floats, a GRU takes all its gates in one op


def test_every_8_bit_layer_that_is_not_rounded_is_named_with_the_reason():
    layers = {layer.name: layer for layer in every_layer()}
    names = ("dense", "words", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "gru.weight_ih_l0.0")
    int8 = dict.fromkeys(names, Encoding.parse("int8"))
    encodings = {**int8, "summed": Encoding.parse("lut4")}
    rounded = Configuration(encodings, {"dense": Precision.INT8})
    notes = inputs_in_fp16(rounded, layers)
    assert sorted(notes) == [
        "8-bit activations: inputs in fp16 of gru.weight_ih_l0.0: no module is called on floats, no op takes the weight "
        "alone, or the configuration leaves it out",
        "8-bit activations: inputs in fp16 of lstm.weight_ih_l0, lstm.weight_hh_l0: Core ML's recurrent ops take their "
        "inputs and states as floats",
        "8-bit activations: inputs in fp16 of words: a look-up takes integers",
    ]
    assert inputs_in_fp16(Configuration(encodings), layers) == ()
