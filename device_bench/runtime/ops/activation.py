"""Activations. Meaning: coremltools ``ops/defs/iOS15/activation.py`` and, for mixed types, ``iOS17/activation.py``."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.registry import kernel, register

register("relu", torch.relu, ["x"], __name__)
register("relu6", F.relu6, ["x"], __name__)
register("sigmoid", torch.sigmoid, ["x"], __name__)
register("silu", F.silu, ["x"], __name__)
register("softplus", F.softplus, ["x"], __name__)
register("softsign", F.softsign, ["x"], __name__)
register("prelu", torch.prelu, ["x", "alpha"], __name__)


@kernel("clamped_relu")
def clamped_relu(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """``min(beta, x)`` where x >= 0, else ``min(beta, alpha * x)``."""
    return F.leaky_relu(x, alpha).clamp(max=beta)


@kernel("elu")
def elu(x: Tensor, *, alpha: float) -> Tensor:
    """``x`` where x > 0, else ``alpha * (exp(x) - 1)``."""
    return F.elu(x, alpha)


@kernel("gelu")
def gelu(x: Tensor, *, mode: str) -> Tensor:
    """Gaussian error linear unit: exact, by tanh, or by sigmoid."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@kernel("leaky_relu")
def leaky_relu(x: Tensor, *, alpha: float) -> Tensor:
    """``x`` where x >= 0, else ``alpha * x``."""
    return F.leaky_relu(x, alpha)


@kernel("linear_activation")
def linear_activation(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """``alpha * x + beta``."""
    return alpha * x + beta


@kernel("scaled_tanh")
def scaled_tanh(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """``alpha * tanh(beta * x)``."""
    return alpha * torch.tanh(beta * x)


@kernel("sigmoid_hard")
def sigmoid_hard(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """``min(max(alpha * x + beta, 0), 1)``."""
    return (alpha * x + beta).clamp(0, 1)


@kernel("softmax")
def softmax(x: Tensor, *, axis: int) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``axis``."""
    return torch.softmax(x, axis)


@kernel("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``alpha_i * log(1 + exp(beta_i * x_i))`` with i the channel, axis 1."""
    shape = [1, -1] + [1] * (x.dim() - 2)
    return alpha.reshape(shape) * F.softplus(x * beta.reshape(shape))


@kernel("thresholded_relu")
def thresholded_relu(x: Tensor, *, alpha: float) -> Tensor:
    """``x`` where x >= alpha, else 0."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))
