"""Parts of encodings."""

from __future__ import annotations

import pytest

from palettune.space.encoding_parts import Sparsity


@pytest.mark.parametrize(
    ("sparsity", "share"), [(Sparsity(75), 0.75), (Sparsity(n_of_m=(3, 4)), 0.75), (Sparsity(), 0)]
)
def test_the_share_of_zeros(sparsity: Sparsity, share: float) -> None:
    assert sparsity.share == share
