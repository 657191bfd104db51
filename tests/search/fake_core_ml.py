"""A pretended Core ML at the border of ``device_bench.measurement``: nothing here has run on Apple hardware."""

import os
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from palettune.device_bench.measurement.measurement import OpPlace
from palettune.device_bench.package.package import weight_bytes

LINK = 50.0
"""Bytes of weights per microsecond."""


@dataclass(frozen=True)
class FakeCoreML:
    """A runtime as bench workers take it.

    ``folder/trouble`` holds what goes wrong with the next measurements, one word a line: ``die`` (the process ends),
    ``hang`` (no answer), ``refuse`` (Core ML raises), ``fine``. ``folder/log`` gets a line for each package begun.
    """

    folder: Path

    def __call__(self, attached):
        return FakeBackend(self.folder, attached)


class FakeBackend:
    def __init__(self, folder, attached):
        self.folder, self.attached = folder, attached
        self.ms = 0.0

    def device(self):
        return self.attached or "Pretend Mac", "pretendOS 1.0"

    def load_times(self, path, unit):
        files = sorted(file for file in path.rglob("weight.bin"))
        digest = zlib.crc32(b"".join(file.read_bytes() for file in files))
        word = self._next()
        with (self.folder / "log").open("a") as log:
            log.write(f"{digest} {word}\n")
        if word == "die":
            os._exit(1)
        if word == "hang":
            time.sleep(600)
        if word == "refuse":
            raise RuntimeError("Failed to build the model execution plan")
        self.ms = 0.3 + weight_bytes(path) / LINK / 1e3 + (digest % 100) / 500
        return [20.0]

    def predict_times(self, runs, warm_up):
        return [self.ms * (1 + 0.002 * (i % 5)) for i in range(runs)]

    def plan(self):
        return [OpPlace("neural_engine", 3.0), OpPlace("cpu", 1.0)]

    def _next(self):
        trouble = self.folder / "trouble"
        words = trouble.read_text().split() if trouble.exists() else []
        trouble.write_text("\n".join(words[1:]))
        return words[0] if words else "fine"
