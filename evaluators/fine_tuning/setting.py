"""Settings of fine-tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from palettune.space.errors import UserError

__all__ = ["FineTuningSetting", "SettingError"]


class SettingError(UserError):
    """Error for a setting of fine-tuning or adapters outside its range."""


@dataclass(frozen=True)
class FineTuningSetting:
    """Number of steps, rates and other settings of fine-tuning.

    Rates are relative: a step of Adam moves a tensor by about its rate times its root mean square (the parameter
    scaling of Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235), so that one rate suits any network.

    Attributes:
        vector_steps: number of steps that train normalizations and biases only; 0 omits this stage.
        steps: number of steps that train all parameters; 0 omits this stage.
        vector_rate: rate of normalizations and biases.
        table_rate: rate of the entries and scales that many weights share.
        rate: rate of the latent weights, which decide each weight's index, integer or value. Low, because indices oscillate
            at higher rates (Nagel et al. 2022, https://arxiv.org/abs/2203.11086).
        accumulation: number of batches whose gradients are accumulated in one step.
        distillation: share of the divergence from the float model in the training loss; the rest is the workload's
            ``loss``. Without a ``loss``, the divergence is the whole training loss.
        held_out: number of samples for validation, at most a quarter of the data.
        validations: number of validations in each stage.
        patience: number of validations without improvement after which a stage ends, counted in the second half of its
            steps, where rates are low.
        gradual: whether sparsity rises gradually in a training that starts from data-free weights.
        checkpoints: number of checkpoints written in each stage.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one. On a GPU, computation is in bfloat16.

    Raises:
        SettingError: a value out of its range; the message names it.
    """

    vector_steps: int = 100
    steps: int = 300
    vector_rate: float = 0.01
    table_rate: float = 0.003
    rate: float = 0.0005
    accumulation: int = 1
    distillation: float = 0.5
    held_out: int = 128
    validations: int = 5
    patience: int = 3
    gradual: bool = True
    checkpoints: int = 10
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("accumulation", "held_out", "validations", "patience", "checkpoints"):
            if getattr(self, name) < 1:
                raise SettingError(f"fine-tuning: {name} = {getattr(self, name)}; expected at least 1")
        for name in ("vector_steps", "steps"):
            if getattr(self, name) < 0:
                raise SettingError(f"fine-tuning: {name} = {getattr(self, name)}; expected 0 or more")
        for name in ("vector_rate", "table_rate", "rate"):
            if not 0 < getattr(self, name) < 1:
                raise SettingError(f"fine-tuning: {name} = {getattr(self, name)}; expected a number between 0 and 1")
        if not 0 <= self.distillation <= 1:
            raise SettingError(f"fine-tuning: distillation = {self.distillation}; expected a share from 0 to 1")
        if self.device not in ("auto", "cpu", "cuda"):
            raise SettingError(f"fine-tuning: device = {self.device!r}; expected 'auto', 'cpu' or 'cuda'")

    @property
    def identity(self) -> dict[str, Any]:
        """Every setting that determines the result, for ``evaluation_identity``: all but ``checkpoints``."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoints"}
