"""A made-up result of applying a configuration."""

from pathlib import Path

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.api.applied import Applied
from palettune.search.api.stored_configuration import FormerResult
from palettune.search.results.export_result import ExportResult
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

CONFIGURATION = Configuration({"a": Encoding.parse("lut4"), "b": Encoding.parse("fp16")})
RECORD = Record.of(
    Evaluation(CONFIGURATION.hash, Workflow("calibration"), 0.5, (0.5,), metrics={"top1": 0.75}), trial=3, origin="applied",
    configuration=CONFIGURATION, workflow=Workflow("calibration"), values=(0.5,), costs={"size_mb": 2.0}, feasible=True,
    answered_from=None, span=(0.0, 1.0),
)  # fmt: skip
FORMER = FormerResult("trial 3 of runs/old", 0.25, {"top1": 0.8}, 3, Workflow.DATA_FREE, 2.0)


def applied(former=FORMER):
    return Applied(RECORD, former, {"top1": 0.9}, ExportResult((), Path("out/manifest.json")))
