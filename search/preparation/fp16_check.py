"""The float model in fp16, run before anything is compressed: what fp16 cannot hold, no encoding mends."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palettune.device_bench.conversion.conversion import converted, unhindered
from palettune.device_bench.interface.argument_names import argument_names
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.proof.image_inputs import to_program_inputs
from palettune.device_bench.runtime import PrecisionCheck, check_precision, load
from palettune.device_bench.runtime.execution import takes
from palettune.evaluators.workload.samples import Inputs, spread_samples
from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation
from palettune.search.preparation.program_check import check_at_shapes, check_frozen, check_program, program_samples
from palettune.space.errors import UserError

__all__ = ["Fp16Error", "Fp16Run", "check_before_search", "fp16_json", "run_in_fp16"]

#: Samples that are run, spread over the evaluation data.
SAMPLES = 16


class Fp16Error(UserError):
    """A model that overflows in fp16; the message names the op, its module and the mend."""


@dataclass(frozen=True)
class Fp16Run:
    """Result of running the uniform fp16 program.

    Attributes:
        check: of its outputs beside those in float32.
        seconds: what it took, conversion included.
    """

    check: PrecisionCheck
    seconds: float

    def require(self) -> None:
        """Raise Fp16Error where the program cannot be used in fp16."""
        if self.check.failed:
            raise Fp16Error(f"the model does not work in fp16, whatever its encodings: {self.check}")

    @property
    def warning(self) -> str | None:
        """Warning of a loss of precision in fp16; ``None`` where there is none."""
        return f"the model loses precision in fp16, whatever its encodings: {self.check}" if self.check.warned else None


def run_in_fp16(preparation: Preparation) -> Fp16Run:
    """Convert the float model and run it in float32 and in fp16 on samples from all over the evaluation data.

    A model that is a package is run as it is. One that tracing converted is first set against its program in float32, as
    is one of flexible inputs at several shapes.

    Raises:
        ProgramCheckError: a traced program does not compute what the model does, or a flexible one at some shape.
    """
    started = time.monotonic()
    workload, experiment = preparation.workload, preparation.experiment
    check_frozen(preparation)
    samples = _samples(preparation)
    if isinstance(workload.model, PackageModule):
        check = check_precision(workload.model.path, samples)
        return Fp16Run(check, time.monotonic() - started)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fp16.mlpackage"
        with unhindered():
            conversion = converted(
                workload.model,
                workload.example_inputs,
                experiment.deployment_target,
                float32=experiment.space.float32,
                state=workload.sampling.state,
                interface=preparation.interface,
            )
            conversion.model.save(str(path))
        modules, program = op_modules(conversion.model), load(path)
        arguments = argument_names(workload.model, len(workload.example_inputs))
        to_inputs = to_program_inputs(preparation.interface, arguments, program.inputs)
        if conversion.front_end.traced:
            spread = program_samples(preparation, program)
            check_program(program, workload.model, spread, conversion.front_end, to_inputs)
        check_at_shapes(program, workload.model, workload.example_inputs, conversion.front_end, to_inputs)
        with workload.sampling.state.around(workload.model):
            check = check_precision(path, samples, reference=workload.model, modules=modules, to_inputs=to_inputs)
    return Fp16Run(check, time.monotonic() - started)


def check_before_search(
    preparation: Preparation, folder: RunFolder, identity: Mapping[str, Any], reporter: Reporter
) -> None:
    """Run the float model in fp16 once for each identity of a search; a loss of precision is said.

    Raises:
        Fp16Error: it overflows.
    """
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
    if folder.fp16_check.exists() and folder.fp16_check.read_text().strip() == digest:
        return
    with reporter.stage(f"running the model in fp16 on up to {SAMPLES} samples"):
        run = run_in_fp16(preparation)
    run.require()
    if run.warning is not None:
        reporter.warn(run.warning)
    folder.fp16_check.write_text(digest + "\n")


def fp16_json(run: Fp16Run) -> dict[str, Any]:
    """Return plain values; a loss that is infinite is ``None``."""
    check, cause = run.check, run.check.cause
    return {
        "passed": not check.failed,
        "samples": check.samples,
        "seconds": run.seconds,
        "outputs": {
            output.name: {
                "elements": output.elements,
                "not_finite": output.non_finite,
                "loss": None if output.non_finite or output.loss == float("inf") else output.loss,
            }
            for output in check.outputs
        },
        "cause": None
        if cause is None
        else {
            "op": cause.op,
            "type": cause.op_type,
            "module": cause.module,
            "overflow": cause.overflow,
            "mask": cause.mask,
            "mend": cause.mend,
        },
        "text": str(check),
    }


def _samples(preparation: Preparation) -> Sequence[Inputs]:
    """Samples from all over the evaluation data that have shapes which the program takes; else the example."""
    workload = preparation.workload
    model, example = workload.model, workload.example_inputs
    arguments = argument_names(model, len(example))

    def fits(sample: Inputs) -> bool:
        if isinstance(model, PackageModule):
            return takes(model.program, sample)
        return preparation.interface.takes(arguments, example, sample)

    spread = spread_samples(workload.batches(Split.EVALUATION), SAMPLES, fits, workload.sampling)
    return spread.samples or (workload.example_inputs,)
