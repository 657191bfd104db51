"""A failed compression says layer, encoding and stage, also across processes."""

import pickle

from palettune.evaluators.compression.errors import CompressionError
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind


def test_it_is_the_same_after_a_process_boundary():
    layer = Layer("head", LayerKind.LINEAR, (4, 4))
    error = CompressionError(layer, Encoding.parse("lut4"), "checking", "not finite")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "layer 'head' as lut4: checking failed: not finite"
    assert (again.layer, again.encoding, again.stage, again.reason) == ("head", "lut4", "checking", "not finite")
