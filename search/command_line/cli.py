"""The command line: ``palettune inspect | search | front | export | solve | verify | bench | bench-worker | ui``."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from palettune.search.experiment.run_folder import without_secrets
from palettune.search.workers.allocator import keep_freed_memory
from palettune.space.errors import UserError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Finds how to compress each layer of a model for Core ML, and proves what it exports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
INTERRUPTED = 130

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml", help="The experiment file.")]
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
RUNS = Path("runs")


@app.command()
def inspect(
    experiment: ExperimentFile,
    as_json: AsJson = False,
    run: Annotated[
        bool, typer.Option("--run", help="Convert the float model, too, and run it in fp16 on evaluation data.")
    ] = False,
) -> None:
    """Show layers, menus, refused encodings and the reachable sizes; search nothing."""
    from palettune.search.experiment.experiment import load_experiment
    from palettune.search.preparation.fp16_check import fp16_json, run_in_fp16
    from palettune.search.preparation.inspection import inspection_json, print_inspection
    from palettune.search.preparation.preparation import prepare

    preparation = prepare(load_experiment(experiment))
    found = run_in_fp16(preparation) if run else None
    if as_json:
        values = inspection_json(preparation)
        print(json.dumps(values if found is None else values | {"fp16": fp16_json(found)}, indent=2))
    else:
        print_inspection(preparation, _wide())
    if found is not None:
        found.require()
    if found is not None and not as_json:
        said = found.warning or f"run in fp16: {found.check}, {found.seconds:.1f} s"
        _wide().print(said, style="yellow" if found.warning else None, soft_wrap=True, markup=False, highlight=False)


@app.command()
def search(
    experiment: ExperimentFile,
    root: Root = RUNS,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    ray_address: RayAddress = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew; an earlier search of this name is put aside.")
    ] = False,
    inline: Annotated[
        bool, typer.Option("--inline", help="Evaluate in this process, one trial after another, without Ray.")
    ] = False,
) -> None:
    """Run a search, or go on with it; print the front at the end."""
    from palettune.search.command_line.stop_flag import stop_flag
    from palettune.search.display.progress import Display
    from palettune.search.display.tables import front_table
    from palettune.search.experiment.experiment import load_experiment
    from palettune.search.loop.session import Places, run_search
    from palettune.search.results.ending import Ending

    console = _wide()
    loaded = load_experiment(experiment)
    places = Places(root, storage, tracking_uri, ray_address, inline)
    with stop_flag() as stop:
        outcome = run_search(loaded, places, [Display(console)], stop=stop, fresh=fresh)
    again = f"palettune search {experiment}" + _options(root, storage, tracking_uri, ray_address)
    if outcome.ending is Ending.STOPPED:
        console.print(f"stopped; nothing is lost. Go on with: [bold]{escape(again)}[/bold]", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    console.print(front_table(outcome.front, f"front of {loaded.name} ({outcome.ending.value})", outcome.confirmations))
    if not outcome.front.members:
        console.print("[yellow]no trial met the constraints[/yellow]")
    where = without_secrets(tracking_uri or outcome.folder.tracking_uri)
    console.print(f"everything is under {outcome.folder.path}; MLflow: {where}", soft_wrap=True, highlight=False)
    console.print(f"export with: [bold]palettune export {experiment} --out DIR[/bold]", soft_wrap=True, highlight=False)


@app.command()
def front(
    experiment: ExperimentFile,
    root: Root = RUNS,
    storage: Storage = None,
    as_json: AsJson = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say for every member why each layer is as it is.")
    ] = False,
) -> None:
    """Print the front of a search."""
    from palettune.evaluators.sensitivity.scores import Scores
    from palettune.search.display.tables import front_table
    from palettune.search.results.explanation import explain_front, explanation_table
    from palettune.search.results.front import to_json

    loaded, study, folder = _open(experiment, root, storage)
    members = _front(loaded, study)
    if as_json:
        print(json.dumps(to_json(members, study.confirmations()), indent=2))
        return
    console = _wide()
    if explain:
        scores = Scores.load(_scores_file(folder, study, experiment))
        latency = study.context.latency(loaded) if "latency_ms" in loaded.objectives.cost else None
        for explanation in explain_front(members, study.context.space, loaded.deployment_target, scores, latency):
            console.print(explanation_table(explanation))
    console.print(front_table(members, f"front of {loaded.name}", study.confirmations()))


@app.command()
def export(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for the packages.")],
    pick: Annotated[
        list[str] | None, typer.Option("--pick", help="knee, all, spread:N, or trial numbers; repeatable.")
    ] = None,
    max_size_mb: Annotated[float | None, typer.Option(help="Only members of at most this size.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Only members of at most this latency: measured where it was, else predicted.")
    ] = None,
    max_divergence: Annotated[float | None, typer.Option(help="Only members of at most this divergence.")] = None,
    root: Root = RUNS,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Export members of the front as proven packages."""
    from palettune.search.display.progress import Display
    from palettune.search.preparation.preparation import prepare
    from palettune.search.results.export import export as export_packages
    from palettune.search.results.export import write_manifest
    from palettune.search.results.front import Limits
    from palettune.search.tracking.tracking import TrackingError, log_packages

    loaded, study, folder = _open(experiment, root, storage)
    members = _front(loaded, study)
    limits = Limits(max_size_mb, max_latency_ms, max_divergence)
    wanted = [word for words in pick or ["knee"] for word in words.replace(",", " ").split()]
    picked = members.pick(wanted, limits)
    console = Console()
    display = Display(console)
    with display.stage("checking the workload"):
        preparation = prepare(loaded)
        study.check(preparation.identity())
    display.notes(preparation)
    exported = export_packages(preparation, folder, picked, out, display, display.on_exported)
    manifest = write_manifest(exported, out)
    try:
        with display.stage("logging packages to MLflow"):
            log_packages(folder, tracking_uri, study.context.search_id, [item.path for item in exported], manifest)
    except TrackingError as error:  # the packages are there, and their record is a view
        display.warn(f"the packages are written, but MLflow does not list them: {error}")
    console.print(f"manifest: {manifest}", soft_wrap=True, highlight=False)
    if not all(item.proven for item in exported):
        raise typer.Exit(1)


@app.command()
def solve(
    experiment: ExperimentFile,
    max_size_mb: Annotated[float | None, typer.Option(help="Budget of the weight file, in 10^6 bytes.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Budget of the predicted latency on the experiment's device.")
    ] = None,
    root: Root = RUNS,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Predict the best configuration for budgets from saved scores; evaluate nothing."""
    from palettune.evaluators.sensitivity.scores import Scores
    from palettune.search.proposing.solution import solution
    from palettune.search.results.formatting import digits, encoding_summary

    loaded, study, folder = _open(experiment, root, storage)
    scores = Scores.load(_scores_file(folder, study, experiment))
    given = {"size_mb": max_size_mb, "latency_ms": max_latency_ms}
    budgets = {name: bound for name, bound in given.items() if bound is not None}
    latency = _known(loaded, study).model or study.context.latency(loaded)
    found = solution(loaded, study.context, scores, study.records(), budgets, latency)
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
        return
    console = Console()
    for name, encoding in found.configuration.encodings.items():
        console.print(f"  {name}: {encoding}", highlight=False)
    if found.latency is not None:
        console.print(
            f"predicted latency {found.latency.ms:.3f} ms (80 % interval {found.latency.low:.3f} to "
            f"{found.latency.high:.3f}) on {latency.device.name}, {latency.setting}, taught by "
            f"{found.latency_measured_on} measurements",
            soft_wrap=True,
            highlight=False,
        )
    interval = "no change on the scoring data, and nothing was measured: no interval can be given"
    if found.high is not None:
        ends = f"{digits(found.low)} to {digits(found.high)}"
        interval = f"80 % interval {ends}, from {found.measured_on} measured neighbours"
    console.print(
        f"{found.costs['size_mb']:.3f} MB; predicted divergence {digits(found.divergence)} ({interval}); "
        f"{encoding_summary(found.configuration)}; solved in {found.seconds:.2f} s. A prediction: nothing was evaluated.",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
def verify(
    package: Annotated[Path, typer.Argument(metavar="MODEL.mlpackage", help="The package to run.")],
    against: Annotated[Path, typer.Option("--against", help="The experiment file of its model and data.")],
    as_json: AsJson = False,
) -> None:
    """Run a package on this machine; compare it with the float model, and with its own record (exit code 1: far off)."""
    from palettune.search.experiment.experiment import load_experiment
    from palettune.search.results.verification import verify as run_package

    found = run_package(package, load_experiment(against))
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        console = Console()
        for line in found.lines(package):
            console.print(line, soft_wrap=True, highlight=False)
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def bench(
    package: Annotated[Path, typer.Argument(metavar="MODEL.mlpackage", help="The package.")],
    device: Annotated[str | None, typer.Option(help="The device, as people call it: 'iPhone 15 Pro'.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure on this Mac, or on an attached device.")] = False,
    unit: Annotated[
        str | None, typer.Option(help="ALL, CPU_AND_NE, CPU_AND_GPU or CPU_ONLY; a prediction shows all without it.")
    ] = None,
    shape: Annotated[list[str] | None, typer.Option(help="NAME=1x3x224x224, for inputs of flexible shape.")] = None,
    as_json: AsJson = False,
) -> None:
    """Predict what a package costs on a device, by compute unit; with --measure, measure it."""
    from palettune.search.on_device.package_latency import holds, measured, predicted, predicted_table

    if not package.is_dir():
        raise UserError(f"{package}: no such package; expected the path of an .mlpackage folder")
    if measure:
        print(json.dumps(measured(package, device, unit), indent=2))
        return
    if device is None:
        raise UserError("--device: say for which device, e.g. --device 'iPhone 15 Pro'")
    rows = predicted(package, device, shape or [], unit)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        console = Console()
        console.print(predicted_table(rows))
        console.print(holds(rows), markup=False, highlight=False, soft_wrap=True)


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

    console = Console()
    join(ray_address, device, model, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))


@app.command()
def ui(
    experiment: ExperimentFile,
    root: Root = RUNS,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless told otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
) -> None:
    """Open MLflow's own interface on the experiment's store."""
    from palettune.search.experiment.experiment import load_experiment
    from palettune.search.experiment.run_folder import RunFolder

    loaded = load_experiment(experiment)
    folder = RunFolder(root, loaded.name)
    store = folder.remembered_tracking_uri or folder.tracking_uri
    if store == folder.tracking_uri and not folder.record.exists():
        raise UserError(f"{folder.path}: no MLflow store there; run `palettune search {experiment}` first")
    if folder.journal.exists():
        _open(experiment, root, None)  # refuses what is another experiment's
    if store.startswith("http"):
        Console().print(f"this search is tracked by {store}: open it in a browser", highlight=False, markup=False)
        return
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--host", host, "--port", str(port)]
    Console().print(f"MLflow on http://{host}:{port} (Ctrl-C ends it)", highlight=False)
    sys.stdout.flush()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.execv(sys.executable, command)


def _wide() -> Console:
    """A console for tables: as wide as the terminal; wide enough for a front where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=170)


def _open(path: Path, root: Path, storage: str | None) -> tuple[Any, Any, Any]:
    from palettune.search.experiment.experiment import load_experiment
    from palettune.search.experiment.run_folder import RunFolder
    from palettune.search.study.study import SearchStudy, open_storage

    loaded = load_experiment(path)
    folder = RunFolder(root, loaded.name)
    if storage is None and not folder.journal.exists():
        raise UserError(
            f"{folder.path}: no search there yet; run `palettune search {path}` first (--root names the folder)"
        )
    study = SearchStudy.load(open_storage(folder, storage, read=True), loaded)
    if study is None:
        raise UserError(f"{folder.path}: the search has no trials yet; run `palettune search {path}` first")
    for note in study.notes:
        Console(stderr=True).print(f"note: {note}", soft_wrap=True, highlight=False, markup=False)
    return loaded, study, folder


def _front(loaded: Any, study: Any) -> Any:
    """The front, ranked by measured latencies where there are some."""
    from palettune.search.results.front import front_of

    return front_of(study.evaluations(), study.context.objectives(loaded), _known(loaded, study))


def _known(loaded: Any, study: Any) -> Any:
    from palettune.search.results.known_latency import known_latency

    measurements = study.measurements()
    model = study.context.latency(loaded) if measurements else None
    return known_latency(model, study.records(), measurements)


def _scores_file(folder: Any, study: Any, experiment: Path) -> Path:
    path: Path = folder.scores / study.context.scores_file
    if not path.exists():
        raise UserError(f"{path}: the scores are not there; `palettune search {experiment} --fresh` makes them again")
    return path


def _options(root: Path, storage: str | None, tracking_uri: str | None, ray_address: str | None) -> str:
    given = {"--root": None if root == RUNS else root, "--storage": storage, "--tracking-uri": tracking_uri}
    given["--ray-address"] = ray_address
    return "".join(f" {name} {without_secrets(str(value))}" for name, value in given.items() if value is not None)


def _quiet() -> None:
    """Keep libraries' notes out of what a user reads."""
    warnings.filterwarnings("ignore")
    for name in ("coremltools", "mlflow", "alembic", "ray", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    """Run the command line: 0 done, 2 the user can mend it, 130 stopped, 1 a bug, or a package that is not what it says."""
    keep_freed_memory()
    try:
        _quiet()
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
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
