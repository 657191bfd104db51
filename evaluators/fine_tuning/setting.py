"""How long and how fast fine-tuning trains."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from palettune.space.errors import UserError

__all__ = ["FineTuningSetting", "SettingError"]


class SettingError(UserError):
    """A setting of fine-tuning that makes no sense."""


@dataclass(frozen=True)
class FineTuningSetting:
    """Steps, rates and the like.

    Rates are relative: a step of Adam moves a tensor by about its rate times its root mean square (the parameter
    scaling of Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235), so that one rate suits any network.

    Attributes:
        vector_steps: steps in which only normalizations and biases are trained; 0 leaves that stage out.
        steps: steps in which everything is trained; 0 leaves that stage out.
        vector_rate: rate of normalizations and biases.
        table_rate: rate of the entries and scales that many weights share.
        rate: rate of the values from which each weight's index, integer or value follows. Low: with a higher one,
            indices flip to and fro faster than they are learned (Nagel et al. 2022, https://arxiv.org/abs/2203.11086).
        accumulation: batches whose gradients one step takes together.
        distillation: share of the distance to the float model in the training loss, where the workload has a ``loss``;
            the rest is that loss. All of it where the workload has none.
        held_out: samples on which progress is judged, at most a quarter of the data.
        validations: how often, in each stage.
        patience: validations without improvement after which a stage ends, in the second half of its steps: before,
            rates are high and no improvement says little.
        gradual: zeros come gradually where a training starts from data-free weights.
        checkpoints: how often in each stage what a killed training goes on from is written.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one. On a GPU, computation is in bfloat16.

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
        """What determines the result; how often checkpoints are written does not."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoints"}
