"""Configurations from elsewhere against a model."""

import pytest

from palettune.search.preparation.configuration_fit import check_fits
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from tests.search.small_experiment import uniform


def test_one_of_the_models_own_fits_whether_menus_offer_it_or_not(small):
    check_fits(uniform(small[0], "lut4"), small[0])
    check_fits(Configuration(dict.fromkeys(("0", "2"), Encoding.parse("lut6"))), small[0])


def test_every_layer_at_which_it_does_not_fit_is_named(small):
    wrong = Configuration({"0": Encoding.parse("lut4-g7"), "7": Encoding.parse("lut4")})
    with pytest.raises(UserError) as error:
        check_fits(wrong, small[0])
    assert "layer '0' cannot take 'lut4-g7'" in str(error.value)
    assert "layer '7': the model has none" in str(error.value)
    assert "layer '2' of the model has no encoding" in str(error.value)
