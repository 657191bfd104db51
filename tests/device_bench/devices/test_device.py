import pytest

from palettune.device_bench.devices.device import DeviceError, device_names, find_device


def test_user_facing_names_and_chips_are_found_in_any_case():
    assert find_device("iphone  15 pro").chip.name == "A17 Pro"
    assert find_device("iPhone 15").chip.name == "A16"
    assert find_device("m2 ultra").name == "M2 Ultra"
    assert len(device_names()) > 50


@pytest.mark.parametrize(("typed", "meant"), [("iPhone 15Pro", "iPhone 15 Pro"), ("A17", "A17 Pro")])
def test_unknown_devices_suggest(typed, meant):
    with pytest.raises(DeviceError, match=f"did you mean '{meant}'"):
        find_device(typed)


def test_nothing_near_is_said_plainly():
    with pytest.raises(DeviceError, match="is not known") as caught:
        find_device("Commodore 64")
    assert "did you mean" not in str(caught.value)
