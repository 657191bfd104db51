"""The listing is written to the form that coremltools reads from ``xcrun devicectl``; no Mac has answered it here."""

import platform
import subprocess
from types import SimpleNamespace

import pytest

from palettune.device_bench.devices.device import find_device
from palettune.device_bench.measurement.hardware import hardware_name, marketing_name
from palettune.device_bench.measurement.measurement import MeasurementError


def listing(**models):
    return {
        "result": {
            "devices": [
                {"deviceProperties": {"name": name}, "hardwareProperties": {"marketingName": model}}
                for name, model in models.items()
            ]
        }
    }


def test_an_attached_device_is_known_by_its_model():
    found = marketing_name(listing(Ann="iPhone 15 Pro", Bob="iPad Pro"), "Ann")
    assert find_device(found).chip.name == "A17 Pro"
    with pytest.raises(MeasurementError, match=r"'Anne' is not attached; did you mean 'Ann'.*Attached: Ann, Bob"):
        marketing_name(listing(Ann="iPhone 15 Pro", Bob="iPad Pro"), "Anne")
    with pytest.raises(MeasurementError, match="give it with --model"):
        marketing_name(listing(Ann=None), "Ann")


@pytest.mark.skipif(platform.system() == "Darwin", reason="the error is for other systems")
def test_elsewhere_it_says_so_whatever_is_stated():
    for words in ((None, None), ("Ann", None), (None, "iPhone 15 Pro")):
        with pytest.raises(MeasurementError, match=r"a bench worker is a Mac.*this is Linux"):
            hardware_name(*words)


def test_a_mac_is_known_by_its_chip(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    answer = SimpleNamespace(stdout="Apple M2 Pro\n")
    monkeypatch.setattr(subprocess, "run", lambda words, **_: answer if words[0] == "sysctl" else None)
    assert find_device(hardware_name(None)).chip.name == "M2 Pro"
    assert hardware_name("Ann", "iPhone 15 Pro") == "iPhone 15 Pro"
