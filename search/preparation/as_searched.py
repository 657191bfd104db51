"""Preparation of an experiment as its search was begun, by whatever version: with the layers that it has chosen for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from palettune.evaluators.quality.left_out import listed
from palettune.search.experiment.experiment import Experiment
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.space.layer import LayerKind

__all__ = ["prepare_as_searched"]

_SHOWN = 5


def prepare_as_searched(experiment: Experiment, layers: Mapping[str, bool] | None) -> Preparation:
    """Prepare an experiment; weights that were no layers when its search was begun stay in fp16.

    A search from before normalizations took back scales of layers goes on without these.

    Args:
        experiment: the experiment.
        layers: names of the layers of its search, and whether each has a normalization that takes back scales; ``None``
            where there is no search yet.

    Raises:
        UserError: as for ``prepare``.
    """
    if layers is not None and not any(layers.values()):
        space = experiment.space.model_copy(update={"free_scales": False})
        experiment = experiment.model_copy(update={"space": space})
    preparation = prepare(experiment)
    if layers is None:
        return preparation
    added = [layer for layer in preparation.layers if layer.name not in layers]
    if not added or len(added) == len(preparation.layers):  # the search of another model is refused by its identity
        return preparation
    operands = {layer.name for layer in preparation.layers if LayerKind.OPERAND in layer.kinds}
    if operands and operands.isdisjoint(layers):  # a package holds them as parameters only where they are layers
        space = experiment.space.model_copy(update={"operands": False})
        experiment = experiment.model_copy(update={"space": space})
    former = prepare(experiment, layers)
    former.workload.note(_note([layer.name for layer in added]))
    return former


def _note(names: Sequence[str]) -> str:
    were, they = ("was no layer", "it stays") if len(names) == 1 else ("were no layers", "they stay")
    return (
        f"the search was begun when {listed(names, _SHOWN)} {were}: {they} in fp16 (a search with --fresh "
        "chooses their encodings, too)"
    )
