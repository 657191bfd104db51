"""torch's default type and device, which a workload's functions run with."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TorchDefaults"]


@dataclass(frozen=True)
class TorchDefaults:
    """The default type and device of one moment, by name: to hold them needs no torch.

    Attributes:
        dtype: as in ``float32``.
        device: as in ``cpu``.
    """

    dtype: str
    device: str

    @classmethod
    def now(cls) -> TorchDefaults:
        """Return the present ones."""
        import torch

        return cls(str(torch.get_default_dtype()).removeprefix("torch."), str(torch.get_default_device()))

    def set(self) -> None:
        """Make them torch's defaults, where they are not."""
        import torch

        present = TorchDefaults.now()
        if present.dtype != self.dtype:
            torch.set_default_dtype(getattr(torch, self.dtype))
        if present.device != self.device:
            torch.set_default_device(self.device)
