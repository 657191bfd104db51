"""The shipped fit."""

from palettune.device_bench.cost.fitted import FittedModel, Spread, fitted_model
from palettune.device_bench.devices.unit import Unit


def test_the_shipped_fit_survives_its_file():
    model = fitted_model()
    again = FittedModel.from_json(model.to_json())
    for unit in Unit:
        assert again.fits[unit].common == model.fits[unit].common
        assert again.spreads[unit] == model.spreads[unit]
    assert isinstance(model.spreads[Unit.CPU], Spread)
