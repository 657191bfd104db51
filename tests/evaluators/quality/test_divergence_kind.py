"""The kinds of divergence, by the names that records and identities hold."""

from palettune.evaluators.quality.divergence_kind import DivergenceKind


def test_names_are_those_that_saved_records_hold():
    assert [kind.value for kind in DivergenceKind] == ["kl", "squared_error"]
    assert DivergenceKind("kl") is DivergenceKind.KL
