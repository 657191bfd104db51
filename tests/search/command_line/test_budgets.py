"""What is asked for on the command line."""

from pathlib import Path

import pytest

import palettune
from palettune.search.command_line.budgets import Budgets, evaluated_first, fixes, words_of


class Asked:
    """A run that remembers what it was asked."""

    def __init__(self):
        self.solved, self.evaluated = [], []

    def solve(self, **given):
        self.solved.append(given)
        return type("Solved", (), {"configuration": "found"})()

    def evaluate(self, configuration, **given):
        self.evaluated.append((configuration, given["calibrate"], given["origin"]))
        return "record"


def first(run, budgets=None, configuration=None, calibrate=False):
    observer = palettune.SearchObserver()
    return evaluated_first(run, budgets, configuration, calibrate=calibrate, tracking_uri=None, observer=observer)


def test_words_are_taken_apart():
    assert words_of(["knee,3", "spread:4 all"]) == ["knee", "3", "spread:4", "all"]
    assert words_of(None) == []
    assert fixes(["head=lut8", "a.*=int4-b32"]) == {"head": "lut8", "a.*": "int4-b32"}
    for wrong in ("head", "=lut8", "head="):
        with pytest.raises(palettune.UserError, match=r"expected LAYER=ENCODING"):
            fixes([wrong])


def test_a_budget_is_solved_and_evaluated_with_what_was_said_as_its_origin():
    run = Asked()
    budgets = Budgets(2.5, None, {"a.*": "lut8"}, ("lut2*",))
    assert first(run, budgets, calibrate=True) == "record"
    assert run.solved == [{"max_size_mb": 2.5, "max_latency_ms": None, "fix": {"a.*": "lut8"}, "forbid": ("lut2*",)}]
    assert run.evaluated == [("found", True, "solved for 2.5 MB --fix 'a.*=lut8' --forbid 'lut2*'")]
    assert str(Budgets(2.5, 1.5)) == "2.5 MB and 1.5 ms"


def test_a_file_is_evaluated_and_nothing_where_nothing_is_asked_for():
    run = Asked()
    assert first(run) is None
    assert first(run, configuration=Path("mine.json")) == "record"
    assert run.evaluated == [(Path("mine.json"), False, None)]
