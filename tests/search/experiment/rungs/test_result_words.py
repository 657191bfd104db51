"""Words for how weights were found."""

import pytest

from palettune.search.experiment.rungs.result_words import result_words


@pytest.mark.parametrize(
    ("workflow", "rung", "words"),
    [
        ("data_free", None, "data-free"),
        ("calibration", "calibration", "calibrated"),
        ("calibration", "int8_activations", "int8 inputs"),
        ("fine_tuning", "fine_tuning", "fine-tuned"),
        ("fine_tuning", None, "fine-tuned"),
        ("distillation", "long_training", "long training"),  # of a rung that is registered no more
    ],
)
def test_a_rung_has_its_own_words_and_one_that_is_gone_its_name(workflow, rung, words):
    assert result_words(workflow, rung) == words
