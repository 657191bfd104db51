"""Every case runs from inspect to verify with the right result, or is refused with words to act on."""

import ast
from pathlib import Path

import pytest

from tests.field.cases import CASES, write_case
from tests.field.journey import journey

WORKLOADS = {path.stem for path in Path(__file__).with_name("workloads").glob("*/*.py")}


def test_every_workload_has_an_expectation():
    assert set(CASES) == WORKLOADS


@pytest.mark.slow
@pytest.mark.matrix(3)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refused])
def test_refused_before_anything_expensive(name, tmp_path):
    found = journey(write_case(name, tmp_path / "case"), tmp_path / "runs", tmp_path / "out")
    assert (found.last, found.code) in (("inspect", 2), ("search", 2)), found.text
    assert not list(tmp_path.glob("runs/*/weight_bank/*")), "weights were compressed before it was refused"
    said = found.steps[-1].text
    assert "Traceback" not in said
    for words in CASES[name].refused:
        assert words in said, said


@pytest.mark.slow
@pytest.mark.matrix(2)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refused])
def test_right_from_end_to_end(name, tmp_path):
    calibrated = CASES[name].calibrated
    case = write_case(name, tmp_path / "case")
    found = journey(case, tmp_path / "runs", tmp_path / "out", calibrated=calibrated)
    assert (found.last, found.code) == ("verify", 0), found.text
    for words in CASES[name].said:
        assert words in found.text, found.text
    assert len(found.manifest) == 2
    for entry in found.manifest:
        assert entry["proof"]["passed"], entry["proof"]
        assert entry["predicted_weight_bytes"] == entry["weight_bytes"]
    assert set(found.verified.values()) == {0}
    plain = next(member for member in found.front if set(member["configuration"]["encodings"].values()) == {"fp16"})
    assert plain["divergence"] < 1e-4
    coarse = min(found.front, key=lambda member: member["size_mb"])
    assert coarse["divergence"] > plain["divergence"], "a coarser configuration cannot be as good as fp16"
    assert len(found.escalated) == calibrated
    for record in found.escalated:
        assert any(gain.layer and gain.samples for gain in record.gains), "no input of any layer was seen"
        assert any(gain.kept and gain.samples for gain in record.gains), record.gains


def test_workloads_import_nothing_of_ours():
    for path in Path(__file__).with_name("workloads").glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")] if isinstance(node, ast.ImportFrom) else []  # fmt: skip
            assert not {name.partition(".")[0] for name in names} & {
                "palettune",
                "search",
                "space",
                "evaluators",
                "device_bench",
            }
