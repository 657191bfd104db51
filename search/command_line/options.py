"""Arguments and options that commands share or that take lines to say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "RUNS",
    "Also",
    "AsCsv",
    "AsJson",
    "BenchDevice",
    "Calibrate",
    "ConfigurationFile",
    "ConfigurationOption",
    "EvaluateIt",
    "EveryMember",
    "ExperimentFile",
    "Explain",
    "Fix",
    "Forbid",
    "Fresh",
    "Inline",
    "InputShapes",
    "MaxLatency",
    "MaxPredictedLatency",
    "MaxSize",
    "MeasureInstead",
    "NoOpen",
    "Pick",
    "RayAddress",
    "Register",
    "Root",
    "RunToo",
    "SolveFirst",
    "Storage",
    "TrackingUri",
    "UnitChoice",
    "Wide",
    "WorkflowChoice",
]

RUNS = Path("runs")

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml", help="The experiment file.")]
ConfigurationFile = Annotated[
    Path, typer.Argument(metavar="CONFIGURATION.json", help="A configuration, a member of a front, or a manifest.")
]
Root = Annotated[Path, typer.Option("--root", help="Folder of all runs.")]
Storage = Annotated[
    str | None, typer.Option("--storage", help="URL of a database for Optuna, instead of the journal file.")
]
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow server or store, instead of the run folder's.")
]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", help="Ray cluster to work on, instead of this machine.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
NoOpen = Annotated[bool, typer.Option("--no-open", help="Only write the page.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print all members and figures as comma-separated values.")]
EveryMember = Annotated[bool, typer.Option("--all", help="Show all members, and all their layers, not a dozen.")]
Wide = Annotated[bool, typer.Option("--wide", help="Show all columns, however wide the terminal is.")]
RunToo = Annotated[
    bool, typer.Option("--run", help="Convert the float model, too, and run it in fp16 on evaluation data.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew; an earlier search of this name is put aside.")]
Inline = Annotated[
    bool, typer.Option("--inline", help="Evaluate in this process, one trial after another, without Ray.")
]
Also = Annotated[
    list[Path] | None, typer.Option("--also", help="A recipe to compare with, in JSON, YAML or TOML; repeatable.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Say of each member shown why its layers are as they are.")]
Pick = Annotated[
    list[str] | None,
    typer.Option(
        "--pick", help="knee, all, smallest, spread:N, divergence<X, uniform:ENCODING, recipe:NAME or trials."
    ),
]
Register = Annotated[
    str | None, typer.Option("--register", help="Name of a model in MLflow's registry: a version for each package.")
]
Fix = Annotated[
    list[str] | None,
    typer.Option("--fix", metavar="LAYER=ENC", help="A layer, or a pattern of layers, and its encoding."),
]
Forbid = Annotated[
    list[str] | None, typer.Option("--forbid", metavar="ENC", help="An encoding that no other layer is to have.")
]
EvaluateIt = Annotated[bool, typer.Option("--evaluate", help="Evaluate the answer, and add it to the search.")]
Calibrate = Annotated[bool, typer.Option("--calibrate", help="Evaluate it, and calibrate its weights with data.")]
SolveFirst = Annotated[bool, typer.Option("--solve", help="Solve for the budgets given, evaluate, and export that.")]
ConfigurationOption = Annotated[
    Path | None, typer.Option("--configuration", help="Evaluate the configuration of a JSON file, and export that.")
]
MaxLatency = Annotated[
    float | None, typer.Option(help="Only members of at most this latency: measured where it was, else predicted.")
]
MaxSize = Annotated[float | None, typer.Option(help="Budget of the weight file, in 10^6 bytes.")]
MaxPredictedLatency = Annotated[
    float | None, typer.Option(help="Budget of the predicted latency on the experiment's device.")
]
WorkflowChoice = Annotated[
    str | None,
    typer.Option(help="data_free, calibration or fine_tuning; the one that the former weights had without it."),
]
BenchDevice = Annotated[str | None, typer.Option(help="The device, as people call it: 'iPhone 15 Pro'.")]
MeasureInstead = Annotated[bool, typer.Option("--measure", help="Measure on this Mac, or on an attached device.")]
UnitChoice = Annotated[
    str | None, typer.Option(help="ALL, CPU_AND_NE, CPU_AND_GPU or CPU_ONLY; a prediction shows all without it.")
]
InputShapes = Annotated[list[str] | None, typer.Option(help="NAME=1x3x224x224, for inputs of flexible shape.")]
