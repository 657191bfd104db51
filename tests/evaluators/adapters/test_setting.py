"""Settings of adapters."""

import pytest

from palettune.evaluators.adapters.setting import AdapterPlacement, AdapterSetting
from palettune.evaluators.fine_tuning.setting import FineTuningSetting, SettingError


def test_a_rank_below_one_is_named():
    with pytest.raises(SettingError, match="rank = 0"):
        AdapterSetting(rank=0)


def test_the_identity_holds_rank_placement_layers_and_training():
    setting = AdapterSetting()
    changed = (
        AdapterSetting(rank=8),
        AdapterSetting(placement=AdapterPlacement.MERGED),
        AdapterSetting(layers=("head",)),
        AdapterSetting(tuning=FineTuningSetting(steps=5)),
    )
    assert all(other.identity != setting.identity for other in changed)
    assert AdapterSetting().identity == setting.identity
