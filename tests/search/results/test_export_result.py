"""What an export wrote, as a value."""

from pathlib import Path

import pytest

from palettune.search.results.export_result import ExportResult
from tests.search.made_up import exported, record

GOOD = exported(record(3, 0.2, 5.0), path="knee.mlpackage")
BAD = exported(record(4, 0.1, 6.0), path="other.unproven.mlpackage", snr_db=10.0)


def result(*items):
    return ExportResult(items, Path("out/manifest.json"))


def test_it_is_a_sequence_of_packages_and_proven_if_all_of_them_are():
    found = result(GOOD, BAD)
    assert (len(found), list(found), found[1]) == (2, [GOOD, BAD], BAD)
    assert result(GOOD).proven
    assert not found.proven
    assert repr(found) == "ExportResult(2 packages, 1 proven; out/manifest.json)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"snr_db": 10.0}, "10.0 dB"),
        ({"predicted": 5064}, "off by -64 B"),
        ({"failures": ("holds other values",)}, "layer 'l0': holds other values"),
    ],
)
def test_what_failed_is_in_the_table(changes, words):
    table = result(GOOD, exported(record(4, 0.1, 6.0), path="bad.mlpackage", **changes)).to_frame()
    assert list(table.index) == ["knee.mlpackage", "bad.mlpackage"]
    assert list(table.proven) == [True, False]
    assert table.failures.iloc[0] == ""
    assert words in table.failures.iloc[1]
    assert table.loc["knee.mlpackage", "divergence"] == 0.2


def test_an_export_of_nothing_has_an_empty_table():
    assert len(result()) == len(result().to_frame()) == 0
    assert "<table" in result()._repr_html_()
