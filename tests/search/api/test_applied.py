"""What applying a configuration gave, beside what the former weights had."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from palettune.search.api.applied import Applied
from palettune.search.results.export_result import ExportResult
from tests.search.api.made_up_applied import FORMER, RECORD, applied


def test_figures_stand_beside_the_former_ones():
    table = applied().to_frame()
    assert list(table.index) == ["size_mb", "divergence", "top1"]
    assert list(table.loc["size_mb"]) == [2.0, 2.0, 0.0]
    assert list(table.loc["divergence"]) == pytest.approx([0.25, 0.5, 0.25])
    assert "size_mb 2.0000 (was 2.0000), divergence 0.5000 (was 0.2500)" in repr(applied())
    assert "<table" in applied()._repr_html_()


def test_without_a_former_result_only_the_new_one_is_known():
    found = applied(former=None)
    assert found.to_frame().loc["divergence"].isna().tolist() == [True, False, True]
    assert found.to_json()["divergence"] == {"former": None, "new": 0.5}
    assert found.to_json()["former_source"] is None
    assert "was" not in repr(found)


def test_the_values_say_what_was_applied_and_where_it_lies():
    values = applied().to_json()
    assert values["configuration_hash"] == RECORD.configuration.hash
    assert values["configuration"]["encodings"] == {"a": "lut4", "b": "fp16"}
    assert (values["former_source"], values["manifest"]) == (FORMER.source, "out/manifest.json")
    assert values["float_metrics"] == {"top1": 0.9}


def test_it_is_proven_when_every_package_is():
    packages = tuple(SimpleNamespace(proven=proven, path=Path("x.mlpackage")) for proven in (True, False))
    export = ExportResult(packages, Path("out/manifest.json"))
    assert applied().proven
    assert not Applied(RECORD, FORMER, {}, export).proven
