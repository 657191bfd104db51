"""Group numbers of samples that come from one source, as the workload gives them."""

from __future__ import annotations

from palettune.evaluators.workload.workload import Split
from palettune.search.preparation.preparation import Preparation

__all__ = ["data_groups"]


def data_groups(preparation: Preparation) -> dict[str, tuple[int, ...]]:
    """Return the group number of each sample of evaluation and confirmation data, by the name of the data's function.

    Empty where the experiment names no function for it.

    Raises:
        WorkloadError: the function fails, or returns something else than a number for each sample.
    """
    workload = preparation.workload
    axes = workload.sampling.axes
    found = {}
    for split in (Split.EVALUATION, Split.CONFIRMATION):
        if workload.options.groups is not None and workload.offers(split.value):
            samples = sum(axes.count(batch.inputs) or 1 for batch in workload.batches(split))
            found[split.value] = workload.groups(split, samples)
    return found
