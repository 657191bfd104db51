"""One sentence below a front."""

from dataclasses import replace

import numpy as np

from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import objective_set
from palettune.search.results.front import Front
from palettune.search.results.front_members.front_sentence import front_sentence
from tests.search.made_up import OBJECTIVES, front, record, two_costs

MENU = ("fp16", "lut8", "lut6", "lut4", "lut2")


def made():
    """Five members; the first two are measured alike on 32 samples, the others are each far better."""
    members = []
    for trial, (factor, seed) in enumerate([(1.0, 0), (1.0, 1), (0.1, 2), (0.01, 3), (0.001, 4)]):
        values = factor * np.random.default_rng(seed).exponential(size=32)
        plain = record(trial, float(values.mean()), trial + 1.0, encodings=("lut8", MENU[trial]))
        members.append(replace(plain, evaluation=replace(plain.evaluation, by_sample=tuple(values))))
    return Front(tuple(members), OBJECTIVES)


def test_what_is_checked_and_what_is_alike_are_counted_and_named():
    found = made()
    unseen = {
        r.key: replace(r.evaluation, divergence=r.evaluation.divergence * (9 if r.trial == 3 else 1)) for r in found
    }
    del unseen[found.members[0].key]
    assert front_sentence(replace(found, confirmations=unseen)) == (
        "4 of 5 members were checked on data that the search never saw: 3 hold, 1 lies above its interval (trial 3); "
        "1 of 4 pairs of neighbours cannot be told apart on 32 samples (0 and 1)."
    )


def test_sources_are_counted_where_samples_come_in_groups():
    found = made()
    grouped = [replace(r, evaluation=r.evaluation.grouped([i // 2 for i in range(32)])) for r in found]
    assert "on 32 samples of 16 sources (0 and 1)" in front_sentence(replace(found, members=tuple(grouped)))


def test_a_front_without_checks_samples_or_members_says_so():
    assert front_sentence(front()) == (
        "No member was checked on data that the search never saw; 4 samples are too few to tell neighbours apart."
    )
    assert front_sentence(Front((), OBJECTIVES)) == ""
    assert front_sentence(replace(made(), objectives=two_costs())).endswith(
        "; 1 of 4 pairs of neighbours in size cannot be told apart by divergence on 32 samples (0 and 1)."
    )
    top1 = Experiment(name="x", workload="w.py", objectives={"quality": {"metric": "top1", "direction": "maximize"}})
    by_metric = replace(made(), objectives=objective_set(top1, 5.0, {"top1": 0.9}, {"size_mb": 10.0}))
    assert front_sentence(by_metric).endswith(
        "; figures are from 32 samples, and neighbours are not tested: top1 is known of all samples together alone."
    )
    apart = replace(made(), members=made().members[1:])
    assert front_sentence(apart).endswith("; no neighbours are too alike to be told apart on 32 samples.")
