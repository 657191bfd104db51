"""Settings of fine-tuning."""

import pytest

from palettune.evaluators.fine_tuning.setting import FineTuningSetting, SettingError


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"rate": 0.0}, "rate = 0.0"), ({"accumulation": 0}, "accumulation"), ({"device": "tpu"}, "'auto', 'cpu'")],
)
def test_settings_out_of_range_are_named(wrong: dict, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        FineTuningSetting(**wrong)


def test_the_identity_holds_all_but_what_does_not_change_the_result():
    setting = FineTuningSetting()
    assert FineTuningSetting(checkpoints=3).identity == setting.identity
    assert FineTuningSetting(steps=3).identity != setting.identity
