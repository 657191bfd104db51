import pytest

from palettune.device_bench.cost.fitted import parameters
from palettune.device_bench.devices.chip_file import ChipFileError, Mark, chip_files, read_chip
from palettune.device_bench.devices.unit import Unit

NEW = """
chip = "Z1"
family = "phone"
devices = ["iPhone Z"]
[specification]
memory_gbps = { value = 100.0, mark = "spec", source = "vendor" }
neural_engine_tflops = { value = 20.0, mark = "spec", source = "vendor" }
int8_fast_path = { value = true, mark = "spec", source = "vendor" }
streams_linear = { value = true, mark = "spec", source = "vendor" }
"""


def test_every_value_has_a_source_and_a_mark_and_every_unit_all_parameters():
    names = dict.fromkeys(Unit)
    for chip in chip_files().values():
        for values in (chip.specification, *chip.units.values()):
            assert all(value.source and isinstance(value.mark, Mark) for value in values.values())
        assert set(chip.units) == set(Unit)
        for unit, values in chip.units.items():
            names[unit] = names[unit] or set(values)
            assert set(values) == names[unit]


def test_no_device_has_two_chips():
    devices = [device for chip in chip_files().values() for device in chip.devices]
    assert len(devices) == len(set(devices))


def test_a_new_file_needs_published_figures_only():
    chip = read_chip("z1.toml", NEW)
    found = parameters(Unit.NEURAL_ENGINE, chip.published())
    assert found["peak_tmacs"] == 10.0
    assert set(found) == set(chip_files()["A17 Pro"].units[Unit.NEURAL_ENGINE])


def test_fitted_marks_are_kept_for_what_was_measured():
    a17, a18 = chip_files()["A17 Pro"], chip_files()["A18"]
    assert a17.units[Unit.NEURAL_ENGINE]["stream_gbps"].mark is Mark.FITTED
    assert a18.units[Unit.NEURAL_ENGINE]["stream_gbps"].mark is Mark.INHERITED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chip = ", "not TOML"),
        (NEW.replace('family = "phone"', ""), "'family' is missing"),
        (NEW.replace(', source = "vendor" }', " }", 1), "memory_gbps must be a table of value, mark and source"),
    ],
)
def test_damaged_files_name_the_file_and_the_key(text, message):
    with pytest.raises(ChipFileError, match=message) as caught:
        read_chip("z1.toml", text)
    assert str(caught.value).startswith("z1.toml")
