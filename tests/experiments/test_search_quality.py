"""The search quality benchmark: its landscapes, its counting, and that its oracle fronts are oracles."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks" / "search_quality"))

from landscape import Run, Spent
from strategies import STRATEGIES, finish, sorted_coarse_first
from synthetic import Additive, Interacting

from palettune.search.experiment.objectives import hypervolume
from palettune.search.workers.recorded_evaluations import RecordedEvaluations


def test_the_front_counted_out_is_the_front_of_everything_tried():
    landscape = Additive("small", 4, 7, 0.3)
    rows = np.stack(np.meshgrid(*[np.arange(6)] * 4, indexing="ij"), -1).reshape(-1, 4)
    losses = np.array([landscape.losses(row, landscape.measure(row).divergence) for row in rows])
    assert landscape.best_volume() == pytest.approx(hypervolume(losses), abs=1e-9)


@pytest.mark.slow
@pytest.mark.matrix(8)
@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(
    "landscape", [Additive("a", 12, 1, 0.3), Interacting("i", 5, 3, 0.3)], ids=["additive", "interacting"]
)
def test_no_strategy_beats_the_known_front_or_spends_more_than_its_budget(name, landscape):
    budget = 14 if name.startswith("gp") else 70  # Gaussian processes take a second for a proposal
    run = finish(STRATEGIES[name], Run(landscape, budget), seed=1)
    assert run.losses
    assert run.spent[-1] <= budget + 1
    assert run.volume() <= landscape.best_volume() + 1e-9
    at, seconds, volumes = run.progress()
    assert (np.diff(volumes) > -1e-12).all()  # but for the rounding of sums in another order
    assert volumes[-1] == pytest.approx(run.volume())
    assert list(at) == sorted(at)
    assert list(seconds) == sorted(seconds)


@pytest.mark.slow
def test_our_search_comes_near_the_known_front_and_nearer_than_stock_samplers():
    landscape = Additive("a", 30, 4, 0.3)
    ours = finish(STRATEGIES["ours"], Run(landscape, 80), 0).volume()
    assert ours > 0.98 * landscape.best_volume()
    assert ours > finish(STRATEGIES["nsga2"], Run(landscape, 80), 0).volume()


@pytest.mark.slow
def test_a_search_is_the_products_own_with_its_first_trials_and_its_trials_in_flight(monkeypatch):
    landscape = Additive("a", 12, 4, 0.3)
    most, asked = [0], []
    submit = RecordedEvaluations.submit

    def watched(self, request):
        pending = submit(self, request)
        most[0] = max(most[0], self.unanswered)
        asked.append(request.configuration.hash)
        return pending

    monkeypatch.setattr(RecordedEvaluations, "submit", watched)
    run = finish(STRATEGIES["ours"], Run(landscape, 60), 0)
    assert most == [landscape.experiment().search.in_flight]
    assert len(asked) == len(set(asked)) == len(run.losses)
    uniform = list(landscape.uniform.values())
    assert [row.tolist() for row in run.rows[: len(uniform)]] == [row.tolist() for row in uniform]
    assert [row.tolist() for row in run.rows] == [
        row.tolist() for row in finish(STRATEGIES["ours"], Run(landscape, 60), 0).rows
    ]


def test_repeats_are_free_and_a_spent_budget_ends_a_run():
    landscape = Additive("a", 4, 1, 0.3)
    run = Run(landscape, 2)
    row = landscape.alone(0, 3)
    assert run.measure(row) == run.measure(row)
    assert run.spent == [1.0]
    run.pay(1.0)
    with pytest.raises(Spent):
        run.measure(landscape.alone(1, 3))


def test_a_run_that_proposes_nothing_new_ends():
    landscape = Additive("a", 4, 1, 0.3)
    run = Run(landscape, 3)
    row = landscape.alone(0, 3)
    for _ in range(3):
        run.measure(row)
    with pytest.raises(Spent):
        run.measure(row)


def test_every_beginning_of_the_coarse_order_is_spread():
    order = sorted_coarse_first(list(range(100)))
    assert sorted(order) == list(range(100))
    for count in (8, 16, 32):
        assert max(np.diff(sorted([*order[:count], 0, 99]))) <= 2 * 100 / count + 14
