"""The processors that chip files speak of."""

from palettune.device_bench.devices.chip_file import chip_files
from palettune.device_bench.devices.unit import Unit


def test_chip_files_use_these_names():
    assert (
        {unit for chip in chip_files().values() for unit in chip.units} == {"neural_engine", "gpu", "cpu"} == set(Unit)
    )
