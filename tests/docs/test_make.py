"""What `make test` and `make test-all` run: together every test, each once; matrices keep cases that are spread."""

import itertools
import re

import pytest

from tests.conftest import pytest_collection_modifyitems
from tests.docs.pages import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def selections(target):
    """The ``-m`` expressions of a target's own commands."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    return re.findall(r'-m "([^"]+)"', recipe)


@pytest.mark.parametrize(("slow", "ray"), itertools.product([False, True], repeat=2))
def test_every_test_is_run_once(slow, ray):
    chosen = [
        (target, expression)
        for target in ("test", "test-slow")
        for expression in selections(target)
        if eval(expression, {"slow": slow, "ray": ray})
    ]
    assert len(chosen) == 1
    (target, _) = chosen[0]
    assert target == ("test-slow" if slow else "test")


def test_all_is_the_quick_and_the_slow_and_the_pages():
    assert re.search(r"^test-all: test docs test-slow$", MAKEFILE, re.MULTILINE)


def test_ci_runs_what_the_readme_names():
    commands = (ROOT / ".ci" / "run").read_text()
    readme = (ROOT / "README.md").read_text()
    assert "make test test-all" in commands
    assert re.search(r"^make test ", readme, re.MULTILINE)
    assert re.search(r"^make test-all ", readme, re.MULTILINE)


class Case:
    """As much of a collected test as the hook reads."""

    def __init__(self, number, few):
        self.nodeid, self.few, self.slow = f"tests/test_a.py::test_a[{number}]", few, False

    def get_closest_marker(self, name):
        return pytest.mark.matrix(self.few).mark if self.few and name == "matrix" else None

    def add_marker(self, marker):
        self.slow = marker.name == "slow"


@pytest.mark.parametrize(
    ("count", "few", "kept"), [(10, 3, [0, 4, 9]), (5, 1, [0]), (2, 4, [0, 1]), (4, 0, [0, 1, 2, 3])]
)
def test_a_matrix_keeps_a_few_cases_spread_over_it(count, few, kept):
    cases = [Case(number, few) for number in range(count)]
    pytest_collection_modifyitems(cases)
    assert [number for number, case in enumerate(cases) if not case.slow] == kept
