"""The state of a record: what its workflow made of the model, from its file or from the weight bank."""

from __future__ import annotations

from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.model_state import ModelState
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.record import Record
from palettune.space.errors import UserError

__all__ = ["member_state"]


def member_state(record: Record, folder: RunFolder, weights: LayerWeights, model: str) -> ModelState:
    """Return the model state of a record, to be exported.

    Args:
        model: ``model_digest`` of the float model.

    Raises:
        UserError: a calibrated or fine-tuned record whose state's file is gone or damaged.
    """
    if record.state is not None:
        return ModelState.load(folder.states / record.state)
    if record.workflow != Workflow.DATA_FREE:
        raise UserError(
            f"trial {record.trial}: its record names no state, and what {record.workflow} found is not in the "
            "weight bank; evaluate its configuration again"
        )
    return ModelState.data_free(record.configuration, weights, model)
