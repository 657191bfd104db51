"""Look-up of devices by their marketing names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from palettune.device_bench.devices import chip_files, specifications
from palettune.device_bench.devices.chip_specification import ChipSpecification
from palettune.space.errors import UserError, suggestion

__all__ = ["Device", "DeviceError", "device_names", "find_device"]


class DeviceError(UserError):
    """An unknown device; the message suggests the nearest name."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device and its chip.

    Attributes:
        name: as in the chip file, ``iPhone 15 Pro``; the chip's own name where that was asked for.
        chip: published figures of its chip.
    """

    name: str
    chip: ChipSpecification


def find_device(name: str) -> Device:
    """Return the device, or the chip, of that name, in any case.

    Raises:
        DeviceError: no such device; the message suggests the nearest name.
    """
    known = _names()
    found = known.get(_key(name))
    if found is None:
        raise DeviceError(
            f"device {name!r} is not known{_nearest(name)} Names are those of Apple's devices or chips, like "
            "'iPhone 15 Pro' or 'M2'; to add a device, add a file to device_bench/devices"
        )
    return Device(found[0], specifications()[found[1]])


def _nearest(name: str) -> str:
    """A suggestion: the first name that goes on where this one stops, else the most alike."""
    longer = [spelled for key, (spelled, _) in sorted(_names().items()) if key.startswith(_key(name))]
    if longer and _key(name):
        return f"; did you mean {longer[0]!r}?"
    keys = [key for key in _names() if repr(key) in suggestion(_key(name), _names())]
    return f"; did you mean {_names()[keys[0]][0]!r}?" if keys else "."


def device_names() -> tuple[str, ...]:
    """Return the names of all known devices."""
    return tuple(sorted(device for chip in chip_files().values() for device in chip.devices))


@cache
def _names() -> dict[str, tuple[str, str]]:
    names = {_key(chip): (chip, chip) for chip in chip_files()}
    names.update({_key(device): (device, chip.chip) for chip in chip_files().values() for device in chip.devices})
    return names


def _key(name: str) -> str:
    return " ".join(name.lower().split())
