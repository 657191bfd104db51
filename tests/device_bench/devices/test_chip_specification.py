"""Published figures of chips."""

from palettune.device_bench.devices.chip_file import specifications
from palettune.device_bench.devices.chip_specification import ChipFamily
from palettune.device_bench.devices.unit import Unit


def test_figures_are_positive_and_of_processors_that_are_there():
    for name, chip in specifications().items():
        assert chip.name == name
        assert chip.family in set(ChipFamily)
        assert chip.memory_gbps > 0
        assert all(flops is None or flops > 0 for flops in (chip.neural_engine_tflops, chip.gpu_tflops))
        assert set(chip.lacks) <= {Unit.NEURAL_ENGINE, Unit.GPU}
        assert chip.neural_engine_tflops is None or Unit.NEURAL_ENGINE not in chip.lacks


def test_every_family_has_a_chip():
    assert {chip.family for chip in specifications().values()} == set(ChipFamily)
