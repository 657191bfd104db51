"""Manifests that lose nothing."""

import json
from dataclasses import replace

from palettune.search.results.packages.manifest import write_manifest
from tests.search.made_up import exported, record


def item(folder, name, trial):
    return replace(exported(record(trial, 0.1, 1.0)), path=folder / name)


def entries(folder):
    return [(entry["path"], entry["trial"]) for entry in json.loads((folder / "manifest.json").read_text())]


def test_a_second_export_keeps_what_the_first_one_proved(tmp_path):
    write_manifest([item(tmp_path, "a.mlpackage", 1), item(tmp_path, "b.mlpackage", 2)], tmp_path)
    write_manifest([item(tmp_path, "c.mlpackage", 3)], tmp_path)
    assert entries(tmp_path) == [("a.mlpackage", 1), ("b.mlpackage", 2), ("c.mlpackage", 3)]
    assert all("proof" in entry for entry in json.loads((tmp_path / "manifest.json").read_text()))


def test_a_package_written_again_takes_its_own_place_whether_it_is_proven_or_not(tmp_path):
    write_manifest([item(tmp_path, "a.mlpackage", 1), item(tmp_path, "b.mlpackage", 2)], tmp_path)
    write_manifest([item(tmp_path, "a.unproven.mlpackage", 4)], tmp_path)
    assert entries(tmp_path) == [("b.mlpackage", 2), ("a.unproven.mlpackage", 4)]
    write_manifest([item(tmp_path, "a.mlpackage", 5)], tmp_path)
    assert entries(tmp_path) == [("b.mlpackage", 2), ("a.mlpackage", 5)]


def test_a_manifest_that_cannot_be_read_is_set_aside(tmp_path):
    for number, text in enumerate(("[{", '{"path": 3}'), 1):
        (tmp_path / "manifest.json").write_text(text)
        write_manifest([item(tmp_path, "a.mlpackage", 1)], tmp_path)
        assert entries(tmp_path) == [("a.mlpackage", 1)]
        assert (tmp_path / f"manifest.damaged-{number}.json").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "manifest.damaged-1.json", "manifest.damaged-2.json", "manifest.json"
    ]  # fmt: skip
