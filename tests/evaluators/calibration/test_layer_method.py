"""Every registered layer method passes the contract; a new line in the registry is tested without a new test."""

import pytest
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.layer_choices import layer_methods
from palettune.evaluators.calibration.sensitive_tables import SensitiveTables
from palettune.space.encoding import Encoding
from palettune.testing.layer_method_contract import LayerMethodContract


class TestLayerMethods(LayerMethodContract):
    @pytest.fixture(params=layer_methods(), ids=lambda method: method.name)
    def method(self, request):
        return request.param

    def improving(self, method):
        # weighs elements one by one, blind to how their errors compensate
        return 0.5 if method is SensitiveTables else 1.0


def test_every_kind_of_encoding_has_a_method():
    (layer,) = layers_of(nn.Sequential(nn.Linear(32, 24)))
    for spelling in ("lut4", "lut4-g8", "int8", "int4-b8", "sparse50", "sparse50+lut4"):
        assert any(method.applies(layer, Encoding.parse(spelling)) for method in layer_methods()), spelling
