"""Weights and scores of encodings that no menu offers."""

from dataclasses import replace

import numpy as np
import pytest

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.added_columns import prepare_columns
from palettune.search.loop.weights_and_scores import fill_bank, score_layers
from palettune.search.study.study_context import StudyContext
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.requests import Describe
from palettune.search.workers.worker_settings import worker_settings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from tests.search.small_experiment import uniform

LUT6 = Encoding.parse("lut6")


@pytest.fixture
def scored(small, tmp_path):
    """A prepared experiment with its bank and scores, and who evaluates."""
    preparation, folder = small[0], RunFolder(tmp_path, "small")
    folder.create()
    evaluations = InlineEvaluations(worker_settings(preparation, folder, preparation.experiment.needs))
    fill_bank(preparation, folder, evaluations, Reporter())
    energy = evaluations.result(Describe()).energy
    scores, file = score_layers(preparation, preparation.identity(), folder, evaluations, energy, Reporter())
    context = StudyContext("id", preparation.kind, 1.0, {}, {}, 0, file, preparation.space)
    return preparation, context, folder, evaluations, scores


def test_what_the_search_has_not_scored_joins_its_scores(scored):
    preparation, context, folder, evaluations, before = scored
    wanted = replace(uniform(preparation, "lut4")).replace({"0": LUT6})
    prepare_columns(preparation, context, folder, evaluations, [wanted], Reporter())
    after = Scores.load(folder.scores / context.scores_file)
    assert set(after.columns) - set(before.columns) == {("0", LUT6)}
    assert after.covers(wanted)
    lut4, lut8 = (after.score("0", Encoding.parse(name)) for name in ("lut4", "lut8"))
    assert lut8 < after.score("0", LUT6) < lut4
    index = [after.index(*column) for column in before.columns]
    np.testing.assert_array_equal(after.by_sample[:, index], before.by_sample)
    assert folder.bank.exists()


def test_what_is_scored_already_is_left_alone(scored, monkeypatch):
    preparation, context, folder, evaluations, _ = scored
    monkeypatch.setattr(evaluations, "submit", lambda request: pytest.fail("nothing is missing"))
    prepare_columns(preparation, context, folder, evaluations, [uniform(preparation, "lut4")], Reporter())


def test_what_cannot_be_compressed_names_the_layer(scored):
    preparation, context, folder, evaluations, _ = scored
    wrong = Configuration({"0": Encoding.parse("lut4-g7"), "2": LUT6})
    with pytest.raises(UserError, match="layer '0'"):
        prepare_columns(preparation, context, folder, evaluations, [wrong], Reporter())
