"""The command line: a thin layer over the Python interface, ``import palettune``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

import palettune
from palettune.search.command_line import options
from palettune.search.command_line.budgets import Budgets, evaluated_first, fixes, words_of
from palettune.search.command_line.options import RUNS, AsJson, ExperimentFile, Root, Storage, TrackingUri
from palettune.search.command_line.printing import (
    print_json,
    print_lines,
    print_notes,
    silence_libraries,
    wide_console,
)
from palettune.search.command_line.stop_flag import stop_flag
from palettune.search.experiment.run_folder import without_secrets
from palettune.search.workers.allocator import keep_freed_memory
from palettune.space.errors import UserError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
INTERRUPTED = 130


class _Stopped(Exception):
    """A search was stopped, and the user has been told how to go on with it."""


def _print_version(asked: bool) -> None:
    if asked:
        print(f"palettune {palettune.__version__}")
        raise typer.Exit


@app.callback()
def _options_of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find how to compress each layer of a model for Core ML, and prove what is exported."""


@app.command()
def inspect(
    experiment: ExperimentFile,
    as_json: AsJson = False,
    run: options.RunToo = False,
) -> None:
    """Show layers, menus, refused encodings and the reachable sizes; search nothing."""
    from palettune.search.display.inspection_tables import print_inspection

    found = palettune.inspect(experiment, run=run)
    if as_json:
        print_json(found.to_json())
    else:
        print_inspection(found, wide_console())
    if found.fp16 is not None:
        found.fp16.require()


@app.command()
def search(
    experiment: ExperimentFile,
    root: Root = RUNS,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    ray_address: options.RayAddress = None,
    fresh: options.Fresh = False,
    inline: options.Inline = False,
    also: options.Also = None,
) -> None:
    """Run a search, or go on with it; print the front at the end."""
    from palettune.search.display.below_front import below_front
    from palettune.search.display.tables import front_table

    console = wide_console()
    with stop_flag() as stop:
        run = palettune.run_search(
            experiment,
            root=root,
            storage=storage,
            tracking_uri=tracking_uri,
            ray_address=ray_address,
            inline=inline,
            fresh=fresh,
            also=also or [],
            observers=[palettune.Display(console)],
            stop=stop,
        )
    if run.stopped:
        again = f"palettune search {experiment}" + _options(root, storage, tracking_uri, ray_address)
        console.print(f"stopped; nothing is lost. Go on with: [bold]{escape(again)}[/bold]", soft_wrap=True)
        raise _Stopped
    found = run.front
    console.print(front_table(found, f"front of {run.experiment.name} ({run.ending})", found.confirmations))
    print_lines(console, below_front(found, run.recipes))
    if not found.members:
        console.print("[yellow]no trial met the constraints[/yellow]")
    where = without_secrets(tracking_uri or run.folder.tracking_uri)
    print_lines(console, [f"everything is under {run.folder.path}; MLflow: {where}"])
    console.print(
        f"export with: [bold]palettune export {escape(str(experiment))} --out DIR[/bold]",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
def front(
    experiment: ExperimentFile,
    root: Root = RUNS,
    storage: Storage = None,
    as_json: AsJson = False,
    explain: options.Explain = False,
) -> None:
    """Print the front of a search."""
    from palettune.search.display.below_front import below_front
    from palettune.search.display.tables import front_table
    from palettune.search.results.explanation import explanation_table

    run = _opened(experiment, root, storage)
    found = run.front
    if as_json:
        print_json(found.to_json())
        return
    console = wide_console()
    for explanation in run.explain_front() if explain else ():
        console.print(explanation_table(explanation))
    console.print(front_table(found, f"front of {run.experiment.name}", found.confirmations))
    print_lines(console, below_front(found, run.recipes))


@app.command()
def export(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for the packages.")],
    pick: options.Pick = None,
    max_size_mb: Annotated[float | None, typer.Option(help="Only members of at most this size.")] = None,
    max_latency_ms: options.MaxLatency = None,
    max_divergence: Annotated[float | None, typer.Option(help="Only members of at most this divergence.")] = None,
    solve: options.SolveFirst = False,
    configuration: options.ConfigurationOption = None,
    calibrate: options.Calibrate = False,
    fix: options.Fix = None,
    forbid: options.Forbid = None,
    root: Root = RUNS,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Export members of the front, or other evaluations, as proven packages."""
    run = _opened(experiment, root, storage)
    console = Console()
    display = palettune.Display(console)
    picked: list[str | int | palettune.Record] = list(words_of(pick))
    record = evaluated_first(
        run,
        Budgets(max_size_mb, max_latency_ms, fixes(fix), tuple(forbid or ())) if solve else None,
        configuration,
        calibrate=calibrate,
        tracking_uri=tracking_uri,
        observer=display,
    )
    if record is not None:
        print_lines(console, [f"trial {record.trial}: {record!r}"])
        picked.append(record)
    found = run.export(
        picked or ["knee"],
        out,
        max_size_mb=None if record is not None else max_size_mb,
        max_latency_ms=None if record is not None else max_latency_ms,
        max_divergence=max_divergence,
        tracking_uri=tracking_uri,
        observer=display,
        on_exported=display.on_exported,
    )
    print_lines(console, [f"manifest: {found.manifest}"])
    if not found.proven:
        raise typer.Exit(1)


@app.command()
def apply(
    configuration: options.ConfigurationFile,
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for the package.")] = Path("applied"),
    trial: Annotated[int | None, typer.Option(help="Which configuration, where the file holds several.")] = None,
    workflow: options.WorkflowChoice = None,
    root: Root = RUNS,
    as_json: AsJson = False,
) -> None:
    """Make the same choices for new weights, after retraining say: compress, compare, export and prove; no search."""
    from palettune.search.api.applied_table import applied_table

    display = None if as_json else palettune.Display()
    found = palettune.apply(
        configuration,
        experiment,
        out=out,
        root=root,
        trial=trial,
        workflow=workflow,
        observer=display,
        on_exported=display.on_exported if display is not None else lambda item: None,
    )
    if as_json:
        print_json(found.to_json())
    else:
        Console().print(applied_table(found))
        print_lines(Console(), [f"manifest: {found.export.manifest}"])
    if not found.proven:
        raise typer.Exit(1)


@app.command()
def solve(
    experiment: ExperimentFile,
    max_size_mb: options.MaxSize = None,
    max_latency_ms: options.MaxPredictedLatency = None,
    fix: options.Fix = None,
    forbid: options.Forbid = None,
    evaluate: options.EvaluateIt = False,
    calibrate: options.Calibrate = False,
    root: Root = RUNS,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    ray_address: options.RayAddress = None,
    as_json: AsJson = False,
) -> None:
    """Say what is best for budgets: as measured, and as predicted."""
    from palettune.search.display.solution_lines import solution_lines

    run = _opened(experiment, root, storage)
    budgets = Budgets(max_size_mb, max_latency_ms, fixes(fix), tuple(forbid or ()))
    found = budgets.solved(run)
    if evaluate or calibrate:
        observers = [] if as_json else [palettune.Display(Console(stderr=True))]
        run.evaluate(
            found.configuration,
            calibrate=calibrate,
            origin=f"solved for {budgets}",
            tracking_uri=tracking_uri,
            ray_address=ray_address,
            observers=observers,
        )
        found = budgets.solved(run)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(Console(), solution_lines(found, str(experiment), budgets.options))


@app.command()
def verify(
    package: Annotated[Path, typer.Argument(metavar="MODEL.mlpackage", help="The package to run.")],
    against: Annotated[Path, typer.Option("--against", help="The experiment file of its model and data.")],
    as_json: AsJson = False,
) -> None:
    """Run a package on this machine; compare it with the float model, and with its own record (exit code 1: far off)."""
    found = palettune.verify(package, against)
    if as_json:
        print_json(found.to_json())
    else:
        console = Console()
        for line in found.lines(package):
            console.print(line, soft_wrap=True, highlight=False)
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def bench(
    package: Annotated[Path, typer.Argument(metavar="MODEL.mlpackage", help="The package.")],
    device: options.BenchDevice = None,
    measure: options.MeasureInstead = False,
    unit: options.UnitChoice = None,
    shape: options.InputShapes = None,
    as_json: AsJson = False,
) -> None:
    """Predict what a package costs on a device, by compute unit; with --measure, measure it."""
    from palettune.search.on_device.latency_table import latency_table
    from palettune.search.on_device.package_latency import measure_latency, shapes_of

    if measure:
        print_json(json.loads(measure_latency(package, device, unit=unit).to_json()))
        return
    if device is None:
        raise UserError("--device: say for which device, e.g. --device 'iPhone 15 Pro'")
    found = palettune.predict_latency(package, device, unit=unit, shapes=shapes_of(shape or []))
    if as_json:
        print_json(found.to_json())
    else:
        console = Console()
        console.print(latency_table(found))
        print_lines(console, [found.recognised])


@app.command("bench-worker")
def bench_worker(
    ray_address: Annotated[str, typer.Option("--ray-address", help="HOST:PORT of the cluster's head.")],
    device: Annotated[
        str | None, typer.Option(help="Own name of an attached iPhone or iPad; this Mac without it.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="What it is ('iPhone 15 Pro'), where Xcode does not tell.")] = None,
) -> None:
    """Join this Mac to a Ray cluster, to measure what searches there send it."""
    from palettune.search.on_device.bench_worker import join

    join(ray_address, device, model, lambda line: print_lines(Console(), [line]))


@app.command()
def ui(
    experiment: ExperimentFile,
    root: Root = RUNS,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless told otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
) -> None:
    """Open MLflow's own interface on the experiment's store."""
    from palettune.search.api.mlflow_ui import mlflow_ui

    found = mlflow_ui(experiment, root, host, port)
    print_notes(found.notes)
    if found.command is None:
        print_lines(Console(), [f"this search is tracked by {found.address}: open it in a browser"])
        return
    print_lines(Console(), [f"MLflow on {found.address} (Ctrl-C ends it)"])
    sys.stdout.flush()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.execv(found.command[0], found.command)


def _opened(experiment: Path, root: Path, storage: str | None) -> palettune.Run:
    """A run for a command that reads it; what a reader should know of it is said."""
    run = palettune.open_run(experiment, root=root, storage=storage)
    print_notes(run.notes)
    return run


def _options(root: Path, storage: str | None, tracking_uri: str | None, ray_address: str | None) -> str:
    given = {"--root": None if root == RUNS else root, "--storage": storage, "--tracking-uri": tracking_uri}
    given["--ray-address"] = ray_address
    return "".join(f" {name} {without_secrets(str(value))}" for name, value in given.items() if value is not None)


def main() -> None:
    """Run the command line: 0 done, 2 the user can mend it, 130 stopped, 1 a bug, or a package that is not what it says."""
    keep_freed_memory()
    try:
        silence_libraries()
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # Typer takes KeyboardInterrupt for an exit of this code
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except _Stopped:
        sys.exit(INTERRUPTED)
    except UserError as error:
        Console(stderr=True).print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        Console(stderr=True).print("interrupted; run the same command again to go on")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of Click's
            Console(stderr=True).print(f"error: {error.format_message()}", markup=False)
            sys.exit(2)
        raise
