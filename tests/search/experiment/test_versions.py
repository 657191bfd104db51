"""Versions of tools that a result depends on."""

import platform

import numpy
import torch

from palettune.search.experiment.versions import tool_versions


def test_they_are_those_of_what_is_imported():
    found = tool_versions()
    assert found["numpy"] == numpy.__version__
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert set(found) == {"coremltools", "torch", "numpy", "optuna", "scikit-learn", "python"}


def test_a_new_patch_of_python_changes_no_result():
    major, minor, _ = platform.python_version_tuple()
    assert tool_versions()["python"] == f"{major}.{minor}"
