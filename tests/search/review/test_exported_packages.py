"""The packages that a run folder remembers."""

import pytest

from palettune.search.review.exported_packages import exported_packages, remember_packages
from tests.search.made_up import exported, record


def test_later_exports_are_added_and_what_is_written_again_counts_once(tmp_path):
    path = tmp_path / "exported.json"
    remember_packages(path, "id", [exported(record(1, 0.1, 2.0), path="one.mlpackage")])
    remember_packages(path, "id", [exported(record(2, 0.2, 1.0), path="two.mlpackage")])
    failed = exported(record(3, 0.1, 2.0), path="one.mlpackage", failures=["layer 'l0' is not what was asked for"])
    remember_packages(path, "id", [failed])
    found = {package.package: package for package in exported_packages(path)}
    assert {name: (package.trial, package.passed) for name, package in found.items()} == {
        "one.mlpackage": (3, False),
        "two.mlpackage": (2, True),
    }
    assert "layer 'l0'" in found["one.mlpackage"].words
    assert "1 layers; when run" in found["two.mlpackage"].words
    assert [file.name for file in tmp_path.iterdir()] == ["exported.json"]


@pytest.mark.parametrize("text", [None, "{", '[{"other": 1}]'])
def test_what_is_not_there_or_of_another_version_is_no_package(text, tmp_path):
    if text is not None:
        (tmp_path / "exported.json").write_text(text)
    assert exported_packages(tmp_path / "exported.json") == []
