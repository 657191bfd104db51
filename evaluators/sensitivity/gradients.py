"""Backward passes that tolerate models without gradients, or with layers that no gradient reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from palettune.evaluators.library_internals import tree_leaves, tree_map

__all__ = ["NO_GRADIENT", "accumulate"]

NO_GRADIENT = (
    "the forward pass runs under torch.no_grad or torch.inference_mode, or rounds, detaches or takes an argmax"
)
"""Possible reasons why no gradient reaches a weight, for messages."""


def accumulate(
    model: nn.Module, forward: Callable[[], Any], loss: Callable[[Any], tuple[Tensor, float]]
) -> tuple[float, str | None]:
    """Run one forward and one backward pass; gradients are accumulated in the parameters that they reach.

    Args:
        model: the model, with ``requires_grad`` set where gradients are wanted.
        forward: runs the model and returns its outputs; called again if the first pass meets inference tensors.
        loss: returns a scalar of the outputs, and a factor that is returned.

    Returns:
        The factor (0 if the forward pass failed), and the error of torch if it cannot compute gradients (inference tensors,
        ops without a derivative, values changed in place); ``None`` otherwise.

    Raises:
        torch.OutOfMemoryError: the passes do not fit into memory.
    """
    try:
        return _passes(forward, loss)
    except RuntimeError as error:
        if "Inference tensors" not in str(error):
            return 0.0, _words(error)
    try:
        with _without_inference_tensors(model):
            return _passes(forward, loss)
    except RuntimeError as error:
        return 0.0, _words(error)


def _passes(forward: Callable[[], Any], loss: Callable[[Any], tuple[Tensor, float]]) -> tuple[float, str | None]:
    with torch.enable_grad():
        value, factor = loss(forward())
        try:
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:  # what the pass reached before stays
            return factor, _words(error)
    return factor, None


def _words(error: RuntimeError) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


@contextmanager
def _without_inference_tensors(model: nn.Module) -> Iterator[None]:
    """Pass copies of inference tensors to modules, so that modules after a part in inference mode have gradients."""
    handles = [part.register_forward_pre_hook(_copied, with_kwargs=True) for part in model.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _copied(_module: nn.Module, arguments: Any, named: Any) -> tuple[Any, Any] | None:
    if torch.is_inference_mode_enabled():
        return None
    values = tree_leaves((arguments, named))
    if not any(isinstance(value, Tensor) and value.is_inference() for value in values):
        return None
    return tree_map(  # type: ignore[no-any-return]
        lambda value: value.clone() if isinstance(value, Tensor) and value.is_inference() else value,
        (arguments, named),
    )
