"""The list of forty architectures, and eight of them through conversion, export and proof."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from experiments.benchmarks.architectures.forty import FAMILIES, FORTY
from experiments.benchmarks.architectures.measure import measured
from experiments.benchmarks.architectures.run import RESULTS
from experiments.benchmarks.architectures.table import page

#: Of every family but the embedders, which are like the encoders of others, as far as transformers alone has them; with
#: the least coverage of each.
EIGHT = {
    "hifigan": 0.99,
    "encodec": 0.99,
    "mamba2": 0.99,
    "mixtral": 0.99,
    "yolos": 0.99,
    "segformer": 0.99,
    "swin2sr": 0.99,
    "whisper": 0.99,
}


def test_there_are_forty_of_at_least_four_in_each_family():
    assert len({architecture.name for architecture in FORTY}) == 40
    families = Counter(family for architecture in FORTY for family in architecture.families)
    assert set(families) == set(FAMILIES)
    assert min(families.values()) >= 4


def test_every_architecture_has_a_function_that_builds_it():
    folder = RESULTS.parent
    for architecture in FORTY:
        assert f"def {architecture.name}() -> Built:" in (folder / f"{architecture.module}.py").read_text()


def test_the_page_is_that_of_the_results():
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    names = {result["name"] for result in results}
    assert names == {architecture.name for architecture in FORTY}
    order = {architecture.name: index for index, architecture in enumerate(FORTY)}
    ordered = sorted(results, key=lambda result: order[result["name"]])
    assert page(ordered) == (Path(__file__).parents[2] / "docs" / "architectures.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers")
@pytest.mark.parametrize("name", EIGHT)
def test_an_architecture_is_covered_exported_and_proven(name, tmp_path):
    architecture = next(one for one in FORTY if one.name == name)
    threads = torch.get_num_threads()
    result = measured(architecture, tmp_path, ("conversion", "package_route", "export"))
    torch.set_num_threads(threads)
    assert "failed" not in result["conversion"], result["conversion"]
    assert result["torch"]["coverage"] >= EIGHT[name], result["torch"]["not_layers"]
    assert result["export"]["proven"], result["export"]["failures"]
    assert result["export"]["bytes"] == result["export"]["predicted_bytes"]
    smallest = [result[route]["smallest_bytes"] for route in ("torch", "package_route")]
    assert smallest[1] == pytest.approx(smallest[0], rel=0.01)
