"""A workload exported in this process, without a search: one uniform configuration, evaluated data-free."""

import tempfile
import textwrap
from pathlib import Path

from rich.console import Console

from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import layer_weights
from palettune.search.preparation.preparation import prepare
from palettune.search.results.packages.export import export
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

EXPERIMENT = """
name = "case"
workload = "workload.py"
deployment_target = "{target}"

[objectives]
divergence = "{kind}"

[space]
encodings = ["fp16", "lut4", "int8"]
"""


def write_case(folder: Path, workload: str, *, kind: str = "auto", target: str = "iOS18") -> Path:
    """A workload and its experiment; the experiment's path."""
    (folder / "workload.py").write_text(textwrap.dedent(workload))
    (folder / "experiment.toml").write_text(EXPERIMENT.format(kind=kind, target=target))
    return folder / "experiment.toml"


def exported(toml: Path, encoding: str = "int8", console: Console | None = None):
    """The uniform configuration of an encoding, evaluated and exported beside the experiment."""
    preparation = prepare(load_experiment(toml))
    folder = RunFolder(Path(tempfile.mkdtemp(dir=toml.parent)), "case")
    weights = layer_weights(preparation, folder)
    parsed = Encoding.parse(encoding)
    menus = preparation.space.menus
    configuration = Configuration(
        {name: parsed if parsed in menus[name].encodings else Encoding.parse("fp16") for name in weights.layers}
    )
    outcome = DataFreeEvaluator(WorkflowSetting(preparation.workload, weights, preparation.kind)).evaluate(
        configuration
    )
    record = Record(
        trial=0,
        origin="test",
        configuration=configuration,
        workflow=Workflow.DATA_FREE,
        values=(outcome.evaluation.divergence,),
        costs=preparation.costs(configuration),
        evaluation=outcome.evaluation,
        feasible=True,
        answered_from=None,
        failure=None,
        span=(0.0, 1.0),
        escalated_from=None,
        state=None,
    )
    display = Display(console or Console(quiet=True))
    (item,) = export(preparation, folder, [record], folder.path, display, display.on_exported)
    return item
