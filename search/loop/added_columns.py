"""Weights and scores for configurations from outside the search space."""

from __future__ import annotations

from collections.abc import Sequence

from palettune.evaluators.quality.evaluation import Failure
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.weights_and_scores import score_columns
from palettune.search.preparation.preparation import Preparation
from palettune.search.study.study_context import StudyContext
from palettune.search.workers.evaluations import Evaluations
from palettune.search.workers.requests import Compress, Describe
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError

__all__ = ["prepare_columns"]


def prepare_columns(
    preparation: Preparation,
    context: StudyContext,
    folder: RunFolder,
    evaluations: Evaluations,
    configurations: Sequence[Configuration],
    reporter: Reporter,
) -> None:
    """Compress and score every (layer, encoding) of some configurations that no menu offers.

    The scores join those of the search in its file, where whatever explains or predicts a configuration finds them.

    Raises:
        UserError: a layer cannot be compressed as a configuration says.
    """
    wanted = dict.fromkeys(column for one in configurations for column in one.encodings.items())
    if not wanted:
        return
    path = folder.scores / context.scores_file
    scores = Scores.load(path)
    missing = [column for column in wanted if not scores.has(column)]
    if not missing:
        return
    _compress(missing, evaluations, reporter)
    energy = evaluations.result(Describe()).energy
    scores.extended(score_columns(preparation, evaluations, energy, reporter, missing)).save(path)


def _compress(columns: Sequence[Column], evaluations: Evaluations, reporter: Reporter) -> None:
    failures: list[Failure] = []
    with reporter.bar("compressing layers", len(columns)) as advance:
        requests = [Compress(layer, (encoding,)) for layer, encoding in columns]
        for _, answer in evaluations.completed(requests):
            failures += [answer.result] if isinstance(answer.result, Failure) else answer.result
            advance(1)
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures[:10])
        raise UserError(f"{len(failures)} weight(s) could not be compressed as asked for:\n{listed}")
