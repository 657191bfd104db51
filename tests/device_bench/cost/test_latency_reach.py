import itertools

import pytest

from palettune.device_bench.cost.latency_reach import check_latency, latency_reach
from palettune.space.configuration import Configuration
from palettune.space.reach import BudgetError
from tests.search.latency_space import model, space


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY"])
@pytest.mark.parametrize("groups", [(), (("a", "d"),)])
def test_nothing_in_the_space_is_faster(unit, groups):
    found, chosen = latency_reach(space(groups), model(unit)), space(groups)
    menus = [chosen.menus[group[0]].encodings for group in chosen.groups]
    every = (
        Configuration({n: e for g, e in zip(chosen.groups, some, strict=True) for n in g})
        for some in itertools.product(*menus)
    )
    assert found.fastest_ms == pytest.approx(min(model(unit).predict(c).ms for c in every), rel=1e-9)
    assert found.fixed_ms + sum(ms for _, ms in found.blocking) == pytest.approx(found.fastest_ms)


def test_a_budget_below_is_refused_with_the_least_and_the_layers_that_block():
    m = model()
    found = latency_reach(space(), m)
    check_latency(found, m, found.fastest_ms)
    with pytest.raises(
        BudgetError, match=rf"iPhone 15 Pro \(CPU_AND_NE\).*{found.fastest_ms:.3f} ms.*{found.blocking[0][0]} \("
    ):
        check_latency(found, m, found.fastest_ms * 0.9)
