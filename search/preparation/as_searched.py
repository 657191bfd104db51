"""Preparation of an experiment as its search was begun: with operands among the layers, or before these were any."""

from __future__ import annotations

from collections.abc import Collection

from palettune.search.experiment.experiment import Experiment
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.space.layer import LayerKind

__all__ = ["prepare_as_searched"]

_NOTE = (
    "the search was begun when tables that are added, masks and other operands were no layers: they stay in fp16 "
    "(a search with --fresh chooses their encodings, too)"
)


def prepare_as_searched(experiment: Experiment, layers: Collection[str] | None) -> Preparation:
    """Prepare an experiment; one whose search has no operands among its layers is prepared without them.

    Args:
        experiment: the experiment.
        layers: names of the layers of its search; ``None`` where there is none yet.

    Raises:
        UserError: as for ``prepare``.
    """
    preparation = prepare(experiment)
    operands = {layer.name for layer in preparation.layers if LayerKind.OPERAND in layer.kinds}
    if layers is None or not operands or not operands.isdisjoint(layers):
        return preparation
    space = experiment.space.model_copy(update={"operands": False})
    former = prepare(experiment.model_copy(update={"space": space}))
    former.workload.note(_NOTE)
    return former
