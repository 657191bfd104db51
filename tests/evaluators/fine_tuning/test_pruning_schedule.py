"""The cubic schedule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from palettune.evaluators.fine_tuning.pruning_schedule import RAMP, sparsity_at
from palettune.space.encoding import Encoding

TARGET = Encoding.parse("sparse80-b4").sparsity


def test_it_follows_the_paper() -> None:
    assert sparsity_at(TARGET, 0.0) is None
    assert sparsity_at(TARGET, RAMP / 2).percent == 70  # 80 * (1 - 1/8)
    assert sparsity_at(TARGET, RAMP) == TARGET
    assert sparsity_at(TARGET, 1.0) == TARGET
    assert sparsity_at(TARGET, RAMP / 2).block == 4
    pattern = Encoding.parse("sparse2:4").sparsity
    assert sparsity_at(pattern, 0.0) == pattern


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 99))
def test_it_never_falls_and_never_passes_its_end(one: float, other: float, percent: int) -> None:
    target = Encoding.parse(f"sparse{percent}").sparsity
    found = [sparsity_at(target, progress) for progress in sorted((one, other))]
    shares = [0 if sparsity is None else sparsity.percent for sparsity in found]
    assert shares[0] <= shares[1] <= percent
