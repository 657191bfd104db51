"""Encodings, and their spelling back and forth."""

from __future__ import annotations

import itertools

from palettune.space.encoding import FP16, Encoding, Family
from palettune.space.encoding_spelling import common_spellings


def test_order_starts_with_fp16_and_has_families_together() -> None:
    ordered = sorted(map(Encoding.parse, common_spellings()), key=lambda e: e.sort_key)
    families = list(dict.fromkeys(e.family for e in ordered))
    assert ordered[0] == FP16
    assert families == list(Family)
    assert sum(1 for a, b in itertools.pairwise(ordered) if a.family != b.family) == len(Family) - 1
