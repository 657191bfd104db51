"""What the record says of 8-bit layers whose inputs stay in fp16."""

from palettune.evaluators.calibration.rounded_inputs import inputs_in_fp16
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.evaluators.every_use import every_layer


def test_every_8_bit_layer_that_is_not_rounded_is_named_with_the_reason():
    layers = {layer.name: layer for layer in every_layer()}
    int8 = dict.fromkeys(("dense", "functional", "product", "attention.out_proj"), Encoding.parse("int8"))
    encodings = {**int8, "summed": Encoding.parse("lut4")}
    rounded = Configuration(encodings, {"dense": Precision.INT8})
    bare, uncalled = inputs_in_fp16(rounded, layers)
    assert bare.startswith(
        "8-bit activations: inputs in fp16 of functional, product: the weight is used without a module"
    )
    assert "fp16 of attention.out_proj: its module is not called on floats" in uncalled
    assert inputs_in_fp16(Configuration(encodings), layers) == ()
