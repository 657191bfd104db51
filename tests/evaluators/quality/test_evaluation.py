"""Evaluations as records, and their identity."""

import json

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow, evaluation_identity


def test_an_evaluation_comes_back_from_json():
    found = Evaluation("abc", Workflow("calibration"), 0.25, (0.2, 0.3), {"top1": 0.9}, {"forward": 1.5})
    assert Evaluation.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_failure_reads_as_stage_layer_and_reason():
    assert str(Failure(Stage.FORWARD, "not finite", "head")) == "forward, layer 'head': not finite"
    assert str(Failure(Stage.LOST, "killed")) == "lost: killed"


def test_an_identity_depends_on_every_part_and_not_on_their_order():
    whole = evaluation_identity(model="m", data="d", seed=0)
    assert whole == evaluation_identity(seed=0, data="d", model="m")
    assert (
        len(
            {
                whole,
                *(
                    evaluation_identity(**{"model": "m", "data": "d", "seed": 0, **change})
                    for change in ({"model": "n"}, {"data": "e"}, {"seed": 1}, {"more": None})
                ),
            }
        )
        == 5
    )
