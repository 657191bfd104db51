"""What is said below a front."""

from dataclasses import replace

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.display.below_front import below_front
from palettune.search.results.front import Front
from tests.search.made_up import OBJECTIVES, front, record


def test_a_recipe_is_set_beside_what_is_no_larger_and_what_is_no_worse():
    sentence, line = below_front(front(), {"ours": record(9, 0.06, 6.5)})
    assert sentence.startswith("No member was checked")
    assert line == (
        "recipe ours: trial 9, 6.500 MB, divergence 0.0600; no larger, trial 3 has 0.0400; "
        "no worse, trial 2 has 3.000 MB"
    )


def test_a_recipe_on_the_front_beyond_it_or_without_a_result_says_so():
    made = front()
    assert below_front(made, {"ours": made.members[2]})[1].endswith("; it is on the front")
    assert below_front(made, {"ours": record(9, 0.001, 0.5)})[1].endswith("; the front reaches neither")
    failed = replace(record(9, 1.0, 1.0), evaluation=None, failure=Failure(Stage.FORWARD, "why"))
    assert below_front(made, {"ours": failed})[1] == "recipe ours: trial 9 gave no result: forward: why"
    assert below_front(Front((), OBJECTIVES), {"ours": failed}) == []
