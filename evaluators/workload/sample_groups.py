"""Groups of samples: which samples of the data come from one source, such as crops of one photograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["SampleGroupsError", "as_groups"]


class SampleGroupsError(ValueError):
    """Error: a function of groups returned something else than a group number for each sample."""


def as_groups(returned: Any, samples: int) -> tuple[int, ...]:
    """Check and return the group number of each sample, in the data's order.

    Args:
        returned: by the user's function: a list, an array or a tensor of integers.
        samples: how many there are.

    Raises:
        SampleGroupsError: saying what was returned and what was expected.
    """
    expected = f"expected a list of {samples} group numbers, one for each sample"
    if isinstance(returned, str) or not (isinstance(returned, Sequence) or hasattr(returned, "__array__")):
        raise SampleGroupsError(f"returned a {type(returned).__name__}; {expected}")
    values = np.asarray(returned)
    if values.ndim != 1 or not (np.issubdtype(values.dtype, np.integer) or values.size == 0):
        raise SampleGroupsError(f"returned values of type {values.dtype} and shape {values.shape}; {expected}")
    if len(values) != samples:
        raise SampleGroupsError(f"returned {len(values)} group numbers; {expected}")
    return tuple(int(value) for value in values)
