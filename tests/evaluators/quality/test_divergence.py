"""Divergences against torch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.quality.divergence import Reference, detect_kind
from palettune.evaluators.quality.divergence_kind import DivergenceKind


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 7))
def test_kl_is_torch_kl_div(seed, samples, classes):
    generator = torch.Generator().manual_seed(seed)
    want, have = (torch.randn(samples, classes, generator=generator) * 3 for _ in range(2))
    reference = Reference.of(DivergenceKind.KL, [want])
    expected = torch.nn.functional.kl_div(
        have.double().log_softmax(-1), want.double().log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    assert torch.allclose(reference.by_sample(0, have), expected)
    assert reference.by_sample(0, want).abs().max() < 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_squared_error_is_relative_over_all_batches(seed, batches):
    generator = torch.Generator().manual_seed(seed)
    want = [
        {"a": torch.randn(3, 4, 2, generator=generator), "b": torch.randn(3, generator=generator)}
        for _ in range(batches)
    ]
    have = [{k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in batch.items()} for batch in want]
    reference = Reference.of(DivergenceKind.SQUARED_ERROR, want)
    mean = torch.cat([reference.by_sample(i, output) for i, output in enumerate(have)]).mean()
    expected = 0.0
    for key in ("a", "b"):
        w, h = (torch.cat([batch[key] for batch in side]).double() for side in (want, have))
        expected += float(((w - h) ** 2).sum() / (w**2).sum()) / 2
    assert float(mean) == pytest.approx(expected, rel=1e-6)
    zero = torch.cat([reference.by_sample(i, {k: v * 0 for k, v in batch.items()}) for i, batch in enumerate(want)])
    assert float(zero.mean()) == pytest.approx(reference.chance, rel=1e-6)


def test_chance_is_the_divergence_of_the_mean_prediction():
    want = torch.randn(50, 6) * 2
    reference = Reference.of(DivergenceKind.KL, [want[:20], want[20:]])
    mean = want.double().softmax(-1).mean(0).log().expand(50, -1)
    parts = [reference.by_sample(0, mean[:20]), reference.by_sample(1, mean[20:])]
    assert reference.chance == pytest.approx(float(torch.cat(parts).mean()), rel=1e-6)


def test_kind_is_kl_only_for_logits_with_class_targets():
    logits = torch.randn(4, 10)
    assert detect_kind(logits, torch.arange(4)) is DivergenceKind.KL
    assert detect_kind(logits, None) is DivergenceKind.SQUARED_ERROR
    assert detect_kind(logits, torch.randn(4)) is DivergenceKind.SQUARED_ERROR
    assert detect_kind((logits, logits), torch.arange(4)) is DivergenceKind.SQUARED_ERROR
    assert detect_kind(torch.randn(4, 10, 3), torch.arange(4)) is DivergenceKind.SQUARED_ERROR


def test_integer_outputs_alone_give_no_divergence():
    with pytest.raises(ValueError, match="no floating-point output"):
        Reference.of(DivergenceKind.KL, [torch.arange(3)])
