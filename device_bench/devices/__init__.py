"""Chips and the devices that contain them, one TOML file per chip (``chip_file``)."""

from palettune.device_bench.devices.chip_file import ChipFile, Mark, Sourced, chip_files, specifications

__all__ = ["ChipFile", "Mark", "Sourced", "chip_files", "specifications"]
