"""The command line: a thin layer over the Python interface, ``import palettune``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import palettune
from palettune.device_bench.package.package_folder import require_package
from palettune.search.command_line import options
from palettune.search.command_line.budgets import Budgets, evaluated_first, fixes, words_of
from palettune.search.command_line.checks import check_export_options, checked_experiment, checked_recipes
from palettune.search.command_line.options import RUNS, AsJson, ExperimentFile, Root, Storage, TrackingUri
from palettune.search.command_line.printing import (
    print_json,
    print_lines,
    print_notes,
    print_sentences,
    print_table,
    silence_libraries,
    wide_console,
)
from palettune.search.command_line.stop_flag import stop_flag
from palettune.search.display.text_console import text_console
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
    """Show layers, menus and reachable sizes; search nothing.

    Also encodings that a layer cannot take, with the reason, and what is known of encodings on the device.
    """
    checked = checked_experiment(experiment)
    from palettune.search.display.inspection_tables import print_inspection

    found = palettune.inspect(checked, run=run)
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
    """Run a search, or go on with it; print the front."""
    checked = checked_experiment(experiment)
    recipes = checked_recipes(checked, also)
    from palettune.search.api.mlflow_ui import lines_after_a_search
    from palettune.search.display.below_front import below_front
    from palettune.search.display.tables import front_table
    from palettune.search.workers.evaluations import SearchStopped

    console = text_console()
    run: palettune.Run | None = None
    try:
        with stop_flag() as stop:
            run = palettune.run_search(
                checked,
                root=root,
                storage=storage,
                tracking_uri=tracking_uri,
                ray_address=ray_address,
                inline=inline,
                fresh=fresh,
                also=recipes,
                observers=[palettune.Display(console)],
                stop=stop,
            )
    except (SearchStopped, KeyboardInterrupt):
        if not stop.raised:
            raise
    if run is None or run.stopped:
        again = f"palettune search {shlex.quote(str(experiment))}" + _options(root, storage, tracking_uri, ray_address)
        console.print(f"stopped; nothing is lost. Go on with: [bold]{escape(again)}[/bold]", soft_wrap=True)
        raise _Stopped
    found = run.front
    print_table(
        console, front_table(found, f"front of {run.experiment.name} ({run.ending})", wide=not console.is_terminal)
    )
    print_sentences(console, below_front(found, run.recipes))
    if not found.members:
        console.print("[yellow]no trial met the constraints[/yellow]")
    print_lines(console, [f"review: {run.folder.review.resolve().as_uri()}"] if run.folder.review.exists() else [])
    file = shlex.quote(str(experiment))
    look = f"palettune ui {file}" + _options(root, None, None, None)
    seen = lines_after_a_search(run.folder, run.search_id, tracking_uri, look)
    print_lines(console, [f"everything is under {run.folder.path}", *seen])
    make = f"palettune export {file} --out DIR" + _options(root, storage, None, None)
    console.print(f"export with: [bold]{escape(make)}[/bold]", soft_wrap=True, highlight=False)


@app.command()
def front(
    experiment: ExperimentFile,
    root: Root = RUNS,
    storage: Storage = None,
    as_json: AsJson = False,
    as_csv: options.AsCsv = False,
    every: options.EveryMember = False,
    wide: options.Wide = False,
    explain: options.Explain = False,
) -> None:
    """Print the front of a search."""
    from palettune.search.display.below_front import below_front
    from palettune.search.display.explanation_table import FEW_LAYERS, explanation_table
    from palettune.search.display.front_csv import front_csv
    from palettune.search.display.tables import front_table, shown_members

    run = _opened(experiment, root, storage)
    found, console = run.front, text_console()
    if as_json:
        print_json(found.to_json())
    elif as_csv:
        print(front_csv(found), end="")
    else:
        wide = wide or not console.is_terminal
        print_table(console, front_table(found, f"front of {run.experiment.name}", every=every, wide=wide))
        print_sentences(console, below_front(found, run.recipes))
        if explain:
            shown = {record.trial for record in (found.members if every else shown_members(found))}
            for explanation in (item for item in run.explain_front() if item.record.trial in shown):
                console.print()
                most = None if every else FEW_LAYERS
                print_table(console, explanation_table(explanation, most=most, wide=wide))


@app.command()
def explain(
    experiment: ExperimentFile,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Number of a trial, on the front or not; or knee.")],
    root: Root = RUNS,
    storage: Storage = None,
    as_json: AsJson = False,
    wide: options.Wide = False,
) -> None:
    """Say why each layer of a trial has its encoding."""
    from palettune.search.display.explanation_table import explanation_table

    run = _opened(experiment, root, storage)
    found = run.explain(_trial(run, trial))
    if as_json:
        print_json(found.to_json())
    else:
        console = text_console()
        print_table(console, explanation_table(found, wide=wide or not console.is_terminal))


@app.command("list")
def list_searches(root: Root = RUNS, as_json: AsJson = False) -> None:
    """List the searches of a folder, the latest first."""
    from palettune.search.display.search_list_table import search_list_table
    from palettune.search.review.review_facts import came_to_its_end
    from palettune.search.study.search_list import list_searches as found_searches

    found, console = found_searches(root, lambda folder: came_to_its_end(folder.facts)), text_console()
    if as_json:
        print_json([item.to_json() for item in found])
    else:
        print_table(console, search_list_table(found, root, wide=not console.is_terminal))


@app.command()
def review(
    experiment: ExperimentFile,
    root: Root = RUNS,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option("--out", help="The HTML file; in the run folder unless given.")] = None,
    no_open: options.NoOpen = False,
) -> None:
    """Write the page that shows all of a search, and open it."""
    from palettune.search.command_line.browser import open_in_browser

    written = _opened(experiment, root, storage).review(out)
    print_lines(text_console(), [str(written)])
    if not no_open:
        open_in_browser(written)


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
    register: options.Register = None,
) -> None:
    """Export evaluations as proven packages."""
    bounds = {"--max-size-mb": max_size_mb, "--max-latency-ms": max_latency_ms, "--max-divergence": max_divergence}
    wanted = {"--pick": pick, "--solve": solve, "--configuration": configuration, "--calibrate": calibrate}
    check_export_options({**wanted, **bounds, "--fix": fix, "--forbid": forbid})
    if configuration is not None:
        from palettune.search.api.stored_configuration import read_configuration

        read_configuration(configuration)
    run = _opened(experiment, root, storage)
    console = text_console()
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
        from palettune.search.display.solution_lines import measured_words

        print_lines(console, [measured_words(record)])
        picked.append(record)
    found = run.export(
        picked or ["knee"],
        out,
        max_size_mb=None if solve else max_size_mb,
        max_latency_ms=None if solve else max_latency_ms,
        max_divergence=max_divergence,
        tracking_uri=tracking_uri,
        register=register,
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
    """Make the same choices for new weights; no search.

    After retraining, for example: the weights are compressed, compared, exported and proven.
    """
    from palettune.search.api.stored_configuration import read_configuration

    read_configuration(configuration, trial)  # what is wrong with it is said before seconds are spent on imports
    checked = checked_experiment(experiment)
    from palettune.search.api.applied_table import applied_table

    display = None if as_json else palettune.Display()
    found = palettune.apply(
        configuration,
        checked,
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
        print_table(text_console(), applied_table(found))
        print_lines(text_console(), [f"manifest: {found.export.manifest}"])
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
    """Say what is best for budgets."""
    from palettune.search.display.solution_lines import solution_lines

    run = _opened(experiment, root, storage)
    budgets = Budgets(max_size_mb, max_latency_ms, fixes(fix), tuple(forbid or ()))
    found = budgets.solved(run)
    if evaluate or calibrate:
        observers = [] if as_json else [palettune.Display(text_console(stderr=True))]
        run.evaluate(
            found.configuration,
            calibrate=calibrate,
            origin=f"solved for {budgets}",
            tracking_uri=tracking_uri,
            ray_address=ray_address,
            observers=observers,
        )
        found = budgets.solved(run)
    places = _options(root, storage, None, None)
    if as_json:
        print_json(found.to_json())
    else:
        print_sentences(text_console(), solution_lines(found, shlex.quote(str(experiment)), budgets.options, places))


@app.command()
def verify(
    package: Annotated[Path, typer.Argument(metavar="MODEL.mlpackage", help="The package to run.")],
    against: Annotated[Path, typer.Option("--against", help="The experiment file of its model and data.")],
    as_json: AsJson = False,
) -> None:
    """Run a package here and compare it with its record.

    And with the float model. Exit code 1 where it is far off.
    """
    require_package(package)
    checked = checked_experiment(against)
    found = palettune.verify(package, checked, observer=None if as_json else palettune.Display())
    if as_json:
        print_json(found.to_json())
    else:
        console = text_console()
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
    """Predict, or measure, the latency of a package.

    On a device by its name, for each of its compute units; with --measure it is measured.
    """
    require_package(package)
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
        console = text_console()
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
    """Join this Mac to a cluster, to measure latencies."""
    from palettune.search.on_device.bench_worker import join

    join(ray_address, device, model, lambda line: print_lines(text_console(), [line]))


@app.command()
def ui(
    experiment: ExperimentFile,
    root: Root = RUNS,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless told otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
) -> None:
    """Open MLflow on the experiment's store."""
    from palettune.search.api.mlflow_ui import mlflow_ui, show_mlflow

    found = mlflow_ui(experiment, root)
    print_notes(found.notes)
    show_mlflow(found, host, port, lambda lines: print_lines(text_console(), lines))


def _opened(experiment: Path, root: Path, storage: str | None) -> palettune.Run:
    """A run for a command that reads it; what a reader should know of it is said."""
    run = palettune.open_run(experiment, root=root, storage=storage)
    print_notes(run.notes)
    return run


def _trial(run: palettune.Run, word: str) -> palettune.Record:
    """A trial by its number, or the knee."""
    if word == "knee":
        return run.front.knee()
    if not word.isdigit():
        raise UserError(f"{word}: expected the number of a trial, or `knee`")
    return run.trial(int(word))


def _options(root: Path, storage: str | None, tracking_uri: str | None, ray_address: str | None) -> str:
    given = {"--root": None if root == RUNS else root, "--storage": storage, "--tracking-uri": tracking_uri}
    given["--ray-address"] = ray_address
    return "".join(
        f" {name} {shlex.quote(without_secrets(str(value)))}" for name, value in given.items() if value is not None
    )


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
        text_console(stderr=True).print(
            f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True, highlight=False
        )
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        text_console(stderr=True).print("interrupted; run the same command again to go on")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of Click's
            text_console(stderr=True).print(f"error: {error.format_message()}", markup=False)
            sys.exit(2)
        raise
