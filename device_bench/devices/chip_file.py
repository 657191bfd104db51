"""Reader of the chip files.

A file holds the chip's published figures under ``[specification]`` and, for each compute unit, the parameters of the
cost model. Each value has a ``source`` and a ``mark``: ``spec`` (published), ``fitted`` (to measurements on this chip)
or ``inherited`` (from its family, or a prior where the family was not measured either). A new device is a new file; the
unit tables may be left out, and then the values of ``families/<family>.toml`` apply.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from palettune.device_bench.devices.chip_specification import ChipFamily, ChipSpecification
from palettune.device_bench.devices.unit import Unit

__all__ = ["ChipFile", "ChipFileError", "Mark", "Sourced", "chip_files", "read_chip", "specifications"]


class ChipFileError(ValueError):
    """A chip file that cannot be read; the message names the file and the key."""


class Mark(StrEnum):
    """Origin of a value."""

    SPEC = "spec"
    FITTED = "fitted"
    INHERITED = "inherited"


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value with its origin and source."""

    value: Any
    mark: Mark
    source: str


@dataclass(frozen=True)
class ChipFile:
    """One chip.

    Attributes:
        chip: name.
        family: family.
        devices: user-facing names of the devices it is in.
        specification: published figures by name.
        lacks: processors that the chip does not have.
        units: compute unit -> parameter -> value; empty where the file leaves them to the family.
    """

    chip: str
    family: ChipFamily
    devices: tuple[str, ...]
    specification: Mapping[str, Sourced]
    units: Mapping[Unit, Mapping[str, Sourced]]
    lacks: tuple[Unit, ...] = ()

    def published(self) -> ChipSpecification:
        """Return the published figures, as the fit takes them."""
        values = {name: sourced.value for name, sourced in self.specification.items()}
        return ChipSpecification(
            self.chip,
            self.family,
            values["memory_gbps"],
            values.get("neural_engine_tflops"),
            values.get("gpu_tflops"),
            values["int8_fast_path"],
            values["streams_linear"],
            tuple(unit.value for unit in self.lacks),
        )


@cache
def chip_files() -> Mapping[str, ChipFile]:
    """Return every chip file by the chip's name."""
    folder = resources.files("palettune.device_bench.devices")
    found = [read_chip(file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".toml")]
    return MappingProxyType({chip.chip: chip for chip in sorted(found, key=lambda chip: chip.chip)})


@cache
def specifications() -> Mapping[str, ChipSpecification]:
    """Return the published figures of every chip by its name."""
    return MappingProxyType({name: chip.published() for name, chip in chip_files().items()})


def read_chip(name: str, text: str) -> ChipFile:
    """Read one chip file.

    Args:
        name: file name, for messages.
        text: its content.

    Raises:
        ChipFileError: not TOML, a key missing, or a value without mark and source.
    """
    try:
        content = tomllib.loads(text)
        units = {unit: _values(name, content[unit.value]) for unit in Unit if unit.value in content}
        return ChipFile(
            content["chip"],
            ChipFamily(content["family"]),
            tuple(content["devices"]),
            MappingProxyType(_values(name, content["specification"])),
            MappingProxyType(units),
            tuple(Unit(name) for name in content.get("lacks", ())),
        )
    except tomllib.TOMLDecodeError as error:
        raise ChipFileError(f"{name}: not TOML: {error}") from error
    except KeyError as error:
        raise ChipFileError(f"{name}: the key {error} is missing") from error


def _values(name: str, table: Mapping[str, Any]) -> dict[str, Sourced]:
    values = {}
    for key, entry in table.items():
        if not isinstance(entry, dict) or set(entry) != {"value", "mark", "source"}:
            raise ChipFileError(f"{name}: {key} must be a table of value, mark and source")
        values[key] = Sourced(entry["value"], Mark(entry["mark"]), entry["source"])
    return values
