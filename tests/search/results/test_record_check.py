"""When a package is what it says, and when it is not."""

from dataclasses import replace

import pytest

from palettune.search.results.packages.package_record import PackageRecord
from palettune.search.results.record_check import Found, judged, tolerance

FOUND = Found(
    float32=1e-3,
    fp16=1.01e-3,
    halves=True,
    rounding=1e-7,
    chance=1.0,
    samples=8,
    total=8,
    kind="squared_error",
    data="d",
    model="m",
    weights="w",
)
RECORD = PackageRecord(divergence=1e-3, kind="squared_error", data="d", model="m", weights="w")


def test_what_is_as_recorded_passes_without_a_word():
    verdict = judged(FOUND, RECORD)
    assert not verdict.problems
    assert not verdict.notes
    assert verdict.claimed == 1e-3
    assert verdict.tolerance == pytest.approx(1e-4)


@pytest.mark.parametrize("found", [0.0038, 1.2e-3, 8e-4, 0.0])
def test_what_is_far_from_its_record_fails_whichever_way(found):
    verdict = judged(replace(FOUND, float32=found, fp16=found), RECORD)
    assert len(verdict.problems) == 1
    assert "its own record says 0.001" in verdict.problems[0]


@pytest.mark.parametrize(
    ("claimed", "rounding", "expected"),
    [
        (1.0, 1e-7, 0.1),
        (0.0, 0.0, 1e-6),
        (0.0, 1e-5, 3e-5),
        (1e-4, 1e-5, 3e-5 + 2 * (1e-9) ** 0.5),
        (1.4e-7, 1e-8, 1e-6),
    ],
)
def test_what_rounding_explains(claimed, rounding, expected):
    assert tolerance(claimed, rounding) == pytest.approx(expected)


def test_outputs_that_are_not_finite_fail_in_either_precision():
    assert "float32" in judged(replace(FOUND, float32=None), RECORD).problems[0]
    assert "in fp16" in judged(replace(FOUND, fp16=None), RECORD).problems[0]
    assert not judged(replace(FOUND, fp16=None, halves=False), RECORD).problems


def test_what_fp16_adds_is_said_and_then_fails():
    assert judged(replace(FOUND, fp16=4e-3), RECORD).notes == ["computing in fp16 adds 0.003 to its divergence"]
    (problem,) = judged(replace(FOUND, fp16=0.5), RECORD).problems
    assert "0.5000 in fp16" in problem
    coarse = replace(FOUND, float32=0.4, fp16=0.5)  # a package that is far from the float model by itself
    assert not judged(coarse, replace(RECORD, divergence=0.4)).problems


def test_without_a_record_there_is_nothing_to_compare_with():
    verdict = judged(FOUND, PackageRecord())
    assert not verdict.problems
    assert verdict.claimed is None
    assert "no record" in verdict.notes[0]
    assert judged(replace(FOUND, fp16=None), PackageRecord()).problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "other"}, "other data"),
        ({"kind": "kl"}, "a kl divergence, not squared_error"),
    ],
)
def test_a_record_of_something_else_is_no_failure_but_said(change, words):
    verdict = judged(replace(FOUND, float32=0.5, fp16=0.5), replace(RECORD, **change))
    assert not verdict.problems
    assert verdict.tolerance is None
    assert any(words in note for note in verdict.notes)


def test_another_model_explains_a_difference():
    other = replace(RECORD, model="other")
    assert "other weights" in judged(replace(FOUND, float32=0.5, fp16=0.5), other).problems[0]
    assert "other weights" in judged(FOUND, other).notes[0]


def test_a_changed_weight_file_fails_even_where_its_divergence_is_as_recorded():
    assert "weight file" in judged(replace(FOUND, weights="changed"), RECORD).problems[0]
    assert not judged(replace(FOUND, weights="changed"), replace(RECORD, weights=None)).problems


def test_of_some_samples_their_own_record_is_used():
    some = replace(FOUND, samples=3)
    verdict = judged(some, RECORD)
    assert not verdict.problems
    assert "3 of 8 samples fit" in verdict.notes[0]
    assert "not compared" in verdict.notes[1]
    assert judged(some, replace(RECORD, divergence=0.5, fitting=1e-3)).claimed == 1e-3
    assert judged(some, replace(RECORD, fitting=0.5)).problems
