"""Reference runtime: Core ML programs run in torch.

``load`` opens an ``.mlpackage`` and prepares it; ``Program.run`` executes it on any machine, in float32 or with fp16
emulated, differentiable with respect to its weights; ``compare`` sets it against a torch module.
"""

from palettune.device_bench.runtime.comparison import Comparison, OutputComparison, as_stored, compare
from palettune.device_bench.runtime.errors import ExecutionError, ProgramError, UnsupportedOpError
from palettune.device_bench.runtime.execution import Execution, Precisions, execute, in_precisions
from palettune.device_bench.runtime.features import Colour, Feature
from palettune.device_bench.runtime.first_difference import FirstDifference
from palettune.device_bench.runtime.precision_cause import Cause
from palettune.device_bench.runtime.precision_check import LOSS, OutputPrecision, PrecisionCheck, check_precision
from palettune.device_bench.runtime.program import Program, load
from palettune.device_bench.runtime.values import ComputePrecision
from palettune.device_bench.runtime.weights import Use, Weight

__all__ = [
    "LOSS",
    "Cause",
    "Colour",
    "Comparison",
    "ComputePrecision",
    "Execution",
    "ExecutionError",
    "Feature",
    "FirstDifference",
    "OutputComparison",
    "OutputPrecision",
    "PrecisionCheck",
    "Precisions",
    "Program",
    "ProgramError",
    "UnsupportedOpError",
    "Use",
    "Weight",
    "as_stored",
    "check_precision",
    "compare",
    "execute",
    "in_precisions",
    "load",
]
