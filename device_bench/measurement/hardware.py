"""Identification of this Mac, or of an attached device, by the names that chip files use."""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from palettune.device_bench.measurement.measurement import MeasurementError
from palettune.space.errors import suggestion

__all__ = ["hardware_name", "marketing_name"]


def hardware_name(attached: str | None, stated: str | None = None) -> str:
    """Return the chip of this Mac, or the model of an attached iPhone or iPad.

    Args:
        attached: the attached device's own name, as Xcode shows it; None for this Mac.
        stated: what the user says it is; then nobody is asked.

    Raises:
        MeasurementError: this is no Mac, or no such device is attached.
    """
    if platform.system() != "Darwin":
        raise MeasurementError(
            f"a bench worker is a Mac, alone or with an iPhone or iPad attached, and this is {platform.system()}; run "
            "this command on the Mac"
        )
    if stated is not None:
        return stated
    if attached is None:
        return _run("sysctl", "-n", "machdep.cpu.brand_string").strip().removeprefix("Apple ")
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "devices.json"
        _run("xcrun", "devicectl", "list", "devices", "--json-output", str(listing))
        return marketing_name(json.loads(listing.read_text("utf-8")), attached)


def marketing_name(listing: Any, attached: str) -> str:
    """Return the model of a device in the listing of ``xcrun devicectl list devices --json-output``.

    Raises:
        MeasurementError: no such device in it, or one whose model it does not tell.
    """
    devices = {
        str(item.get("deviceProperties", {}).get("name", "")): item.get("hardwareProperties", {})
        for item in listing.get("result", {}).get("devices", [])
    }
    if attached not in devices:
        known = ", ".join(devices) or "none"
        raise MeasurementError(
            f"device {attached!r} is not attached{suggestion(attached, devices)} Attached: {known}; unlock it and "
            "trust this Mac"
        )
    model = devices[attached].get("marketingName")
    if not model:
        raise MeasurementError(f"device {attached!r}: Xcode does not report its model; give it with --model")
    return str(model)


def _run(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise MeasurementError(
            f"{' '.join(words)} failed: {error}; install Xcode's command-line tools (xcode-select --install)"
        ) from error
