"""Palettune finds how to compress each layer of a model for Core ML, and proves what it exports.

::

    import palettune as pt

    experiment = pt.Experiment.load("experiment.toml")
    run = pt.run_search(experiment)
    run.front.to_frame()
    run.export(["knee"], "exported")

The names below are all that is promised to stay. Each is imported when it is first used: ``import palettune`` itself
imports no other package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Applied",
    "Configuration",
    "Display",
    "Encoding",
    "Evaluation",
    "Experiment",
    "Explanation",
    "ExportResult",
    "Front",
    "Inspection",
    "NotebookObserver",
    "PackageLatency",
    "Record",
    "Run",
    "SearchObserver",
    "Solution",
    "TrialComparison",
    "UserError",
    "Verification",
    "apply",
    "inspect",
    "open_run",
    "predict_latency",
    "run_search",
    "verify",
]

if TYPE_CHECKING:
    from palettune.evaluators.quality.evaluation import Evaluation
    from palettune.search.api.applied import Applied
    from palettune.search.api.apply import apply
    from palettune.search.api.run import Run, open_run
    from palettune.search.api.searching import run_search
    from palettune.search.display.notebook import NotebookObserver
    from palettune.search.display.progress import Display
    from palettune.search.experiment.experiment import Experiment
    from palettune.search.on_device.package_latency import PackageLatency, predict_latency
    from palettune.search.preparation.inspection import Inspection, inspect
    from palettune.search.proposing.solution import Solution
    from palettune.search.results.explanation import Explanation
    from palettune.search.results.export_result import ExportResult
    from palettune.search.results.front import Front
    from palettune.search.results.observer import SearchObserver
    from palettune.search.results.trial_comparison import TrialComparison
    from palettune.search.results.verification import Verification, verify
    from palettune.search.study.record import Record
    from palettune.space.configuration import Configuration
    from palettune.space.encoding import Encoding
    from palettune.space.errors import UserError

_HOMES = {
    "Applied": "search.api.applied",
    "Configuration": "space.configuration",
    "Display": "search.display.progress",
    "Encoding": "space.encoding",
    "Evaluation": "evaluators.quality.evaluation",
    "Experiment": "search.experiment.experiment",
    "Explanation": "search.results.explanation",
    "ExportResult": "search.results.export_result",
    "Front": "search.results.front",
    "Inspection": "search.preparation.inspection",
    "NotebookObserver": "search.display.notebook",
    "PackageLatency": "search.on_device.package_latency",
    "Record": "search.study.record",
    "Run": "search.api.run",
    "SearchObserver": "search.results.observer",
    "Solution": "search.proposing.solution",
    "TrialComparison": "search.results.trial_comparison",
    "UserError": "space.errors",
    "Verification": "search.results.verification",
    "apply": "search.api.apply",
    "inspect": "search.preparation.inspection",
    "open_run": "search.api.run",
    "predict_latency": "search.on_device.package_latency",
    "run_search": "search.api.searching",
    "verify": "search.results.verification",
}
"""The module of each name."""


def __getattr__(name: str) -> object:
    """Import a name of the door when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'palettune' has no attribute {name!r}")
    value: object = getattr(import_module(f"palettune.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names of the door."""
    return sorted([*__all__, "__version__"])
