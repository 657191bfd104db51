"""Tests mirror the sources: tests/space/test_footprint.py for space/footprint.py."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("space", "device_bench", "evaluators", "search")

#: Sources that have no test file of their own yet. Only to be shortened.
WITHOUT_A_TEST: dict[str, frozenset[str]] = {
    "space": frozenset(),
    "device_bench": frozenset(),
    "evaluators": frozenset(),
    "search": frozenset({}),
}
#: Test files that are of no one source, each with the reason.
OF_SEVERAL: dict[str, str] = {
    "evaluators/calibration/test_method_devices.py": "the devices of every layer method",
    "evaluators/test_devices.py": "the device of every stage, from evaluation to adapters",
    "evaluators/test_encodings_in_package.py": "every encoding through compression, conversion and proof",
    "evaluators/test_hard_weights.py": "weights of odd values through compression and conversion",
    "evaluators/test_joint_limits.py": "joint encodings through compression and conversion",
    "evaluators/test_stateful_search.py": "models with state through scores and every workflow",
    "search/command_line/test_imports.py": "what reading commands load",
    "search/command_line/test_interrupting.py": "Ctrl-C in a real process, in every stage of a search",
    "search/experiment/rungs/test_added_rung.py": "a workflow added by a file and a line, from the search to the package",
    "search/escalation/test_passed_slots.py": "turns at which nothing can be escalated, through study and escalations",
    "search/preparation/test_declared_inputs.py": "declared inputs and outputs, from the search to the package",
    "search/preparation/test_operands.py": "constants that ops take as they are, from the model to the package",
    "search/proposing/test_optuna_suite.py": "Optuna's own tests of samplers, over ours alone and joined",
    "search/review/page/test_page_answers.py": "the page in a browser: a reviewer's questions",
    "search/review/page/test_page_figures.py": "the page in a browser: its figures are those of Python",
    "search/review/page/test_page_looks.py": "the page in a browser: dark, phone, paper, without eyes",
    "search/review/page/test_page_marks.py": "the page in a browser: what the chart of the front draws",
    "search/review/page/test_page_parts.py": "the parts of the page: names, imports, licences",
    "search/review/page/test_page_state.py": "the page in a browser: mouse, keyboard, links",
    "search/tracking/test_mlflow_pages.py": "MLflow's pages in a browser: runs, front, comparison, models",
    "search/test_bad_input.py": "what a user can give wrong, by the command line",
    "search/test_benching_property.py": "latencies measured in any order, through study and front",
    "search/test_installed.py": "the wheel in an empty environment",
    "search/test_kept_modules.py": "modules that are kept, from the workload to the package",
    "search/test_memory.py": "memory of a worker over a whole search",
    "search/test_packages.py": "a package as the workload's model, by the command line",
    "search/test_stateful_export.py": "models with state, from the search to the package",
}


def expected(room: str) -> set[str]:
    """The test file of each source, relative to the room."""
    sources = [path.relative_to(ROOT / room) for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py"]
    return {str(source.with_name(f"test_{source.name}")) for source in sources}


def present(room: str) -> set[str]:
    return {str(path.relative_to(ROOT / "tests" / room)) for path in (ROOT / "tests" / room).rglob("test_*.py")}


@pytest.mark.parametrize("room", ROOMS)
def test_every_source_has_its_test_file(room: str) -> None:
    assert sorted(expected(room) - present(room) - WITHOUT_A_TEST[room]) == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_lists_hold_nothing_that_is_done(room: str) -> None:
    assert sorted(WITHOUT_A_TEST[room] & present(room) | WITHOUT_A_TEST[room] - expected(room)) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_test_file_has_its_source(room: str) -> None:
    several = {name.removeprefix(f"{room}/") for name in OF_SEVERAL if name.startswith(f"{room}/")}
    assert sorted(present(room) - expected(room) - several) == []
    assert several <= present(room)


def test_no_folder_holds_more_than_twenty_python_files() -> None:
    folders = {path.parent for room in (*ROOMS, "tests", "experiments") for path in (ROOT / room).rglob("*.py")}
    counts = {
        str(folder.relative_to(ROOT)): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert {folder: count for folder, count in counts.items() if count > 20} == {}
