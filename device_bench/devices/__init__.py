"""Chips and the devices they are in: one TOML file for each chip, read by ``device_bench.devices.chip_file``."""

from palettune.device_bench.devices.chip_file import ChipFile, Mark, Sourced, chip_files, specifications

__all__ = ["ChipFile", "Mark", "Sourced", "chip_files", "specifications"]
