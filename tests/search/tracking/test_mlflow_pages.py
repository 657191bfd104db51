"""MLflow's pages in a real browser: runs with figures, the saved view of the front, two runs side by side, artifacts."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from experiments.benchmarks.review.made_up_search import made_up_source
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.review.review_data import review_data
from palettune.search.review.review_page import review_html
from palettune.search.study.record import Record
from palettune.search.tracking.mlflow_links import find_links
from palettune.search.tracking.mlflow_observer import MlflowObserver
from palettune.search.tracking.packages import log_packages
from palettune.search.tracking.tracking_store import mlflow_client
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from tests.search.loop.small_searches import costs as costs_of
from tests.search.loop.small_searches import history_of
from tests.search.review.page.conftest import browser, screenshots  # noqa: F401 (fixtures)
from tests.search.tracking.made_up_exports import exported

pytestmark = pytest.mark.slow
SERVE = """
import sys
from pathlib import Path
from palettune.search.tracking.mlflow_server import bound_socket, serve_mlflow
listening = bound_socket("127.0.0.1", 5700)
serve_mlflow(sys.argv[1], Path(sys.argv[2]), listening, lambda: print(listening.getsockname()[1], flush=True))
"""


def told(observer, history, trial, names, divergence):
    """One trial of a made-up search, as the loop tells it."""
    encodings = {f"l{i}": Encoding.parse(name) for i, name in enumerate(names)}
    configuration = Configuration(encodings)
    result = Evaluation(
        configuration.hash, Workflow.DATA_FREE, divergence, tuple([divergence * 0.5, divergence * 1.5] * 8)
    )
    history.add(
        Record.judged(
            result, history.objectives, costs_of(configuration), trial=trial, origin="guided",
            configuration=configuration, workflow=Workflow.DATA_FREE, answered_from=None, span=(1e9 + trial, 1e9 + trial + 1),
        )
    )  # fmt: skip
    observer.on_trial_finished(history.records[-1], history)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A search of eight trials with a review page and an exported package."""
    folder = RunFolder(tmp_path_factory.mktemp("runs"), "x")
    folder.create()
    said = []
    review = review_html(review_data(made_up_source(12, 40, tmp_path_factory.mktemp("made_up"))))
    observer = MlflowObserver(folder, None, lambda history: {"review.html": review}, lambda history: {}, said.append)
    history = history_of(12)
    observer.on_search_started(history)
    menus = ["fp16", "lut8", "lut4"]
    for trial in range(8):
        names = [menus[min(2, (trial + i) // 4)] for i in range(12)]
        told(observer, history, trial, names, 0.01 * (trial + 1) * (3 if trial == 5 else 1))
    observer.on_finished(Ending.TRIALS, history)
    log_packages(folder, None, "id", *exported(tmp_path_factory.mktemp("out"), 3))
    assert said == []
    return folder


@pytest.fixture(scope="module")
def links(folder):
    """Where MLflow shows the search."""
    words = [sys.executable, "-c", SERVE, folder.tracking_uri, str(folder.artifacts)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        base = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
            assert answer.status == 200
        yield find_links(mlflow_client(folder.tracking_uri), "x", "id", base)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def page(browser):  # noqa: F811
    """A page of a browser that has never been here."""
    context = browser.new_context(viewport={"width": 1800, "height": 1400})
    context.set_default_timeout(90_000)
    opened, complaints = context.new_page(), []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


def columns_of(page):
    """Headings of the runs table."""
    return page.locator(".ag-header-cell-text, [role=columnheader]").all_inner_texts()


def test_the_link_to_all_runs_lands_on_a_table_with_names_and_numbers(links, page, screenshots):  # noqa: F811
    page.goto(links.runs)
    page.get_by_text("3.16 MB · 0.0800 · data-free").wait_for()
    page.get_by_role("gridcell", name="0.08", exact=True).first.wait_for()
    page.screenshot(path=screenshots / "mlflow_runs.png")
    assert page.get_by_text("MB · ").count() == 8
    shown = " ".join(columns_of(page))
    assert all(name in shown for name in ("size_mb", "divergence", "compression"))
    assert page.get_by_text("8 matching runs").count() == 1


def test_the_link_to_the_front_lands_on_its_members_smallest_first(links, page, screenshots):  # noqa: F811
    page.goto(links.front)
    page.get_by_text("7 matching runs").wait_for()
    page.get_by_text("3.16 MB · ").wait_for()
    names = page.get_by_text("MB · ").all_inner_texts()
    assert names == sorted(names, key=lambda name: float(name.split()[0]))
    page.screenshot(path=screenshots / "mlflow_front.png")
    page.goto("about:blank")  # as somebody who follows this link comes
    page.goto(links.charts)
    page.get_by_text("size_mb vs. divergence").first.wait_for()
    page.locator(".scatterlayer .point").nth(6).wait_for()
    page.screenshot(path=screenshots / "mlflow_front_charts.png")


def test_the_link_to_the_search_lands_on_its_note_and_its_page_is_an_artifact(links, page, screenshots):  # noqa: F811
    page.goto(links.search)
    page.get_by_text("7 members of the front").wait_for()
    page.get_by_text("space.encodings").wait_for()
    page.screenshot(path=screenshots / "mlflow_search.png")
    page.goto(links.artifact("review.html"))
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="made_up_12").wait_for()
    page.screenshot(path=screenshots / "mlflow_review.png")
    frame.get_by_text("The knee is").wait_for()
    frame.get_by_role("button", name="Words and keys").click()  # it answers within MLflow's frame, too
    frame.get_by_role("region", name="Words and keys").wait_for()


def test_two_runs_are_compared_layer_by_layer_in_model_order(folder, links, page, screenshots):  # noqa: F811
    page.goto(links.runs)
    page.get_by_text("8 matching runs").wait_for()
    client = mlflow_client(folder.tracking_uri)
    for trial in (0, 3):
        (run,) = client.search_runs([links.experiment], f"tags.trial = '{trial}'")
        row = page.get_by_role("row").filter(has_text=run.info.run_name)
        row.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("11 l11", exact=True).first.wait_for()
    rows = [text.split() for text in page.locator("tr").all_inner_texts()]
    layers = [row for row in rows if len(row) > 3 and row[1].startswith("l") and row[0].isdigit()]
    assert [row[1] for row in layers] == [f"l{i}" for i in range(12)]
    assert layers[0][2:] == ["fp16", "fp16"]
    assert layers[4][2:] == ["lut8", "lut8"]
    assert layers[2][2:] == ["fp16", "lut8"]
    page.screenshot(path=screenshots / "mlflow_compare.png")


def test_an_exported_package_is_a_model_with_its_figures_and_files(folder, links, page, screenshots):  # noqa: F811
    client = mlflow_client(folder.tracking_uri)
    (model,) = client.search_logged_models([links.experiment])
    address = f"{links.base}/#/experiments/{links.experiment}/models/{model.model_id}"
    page.goto(f"{address}?workflowType=machine_learning")
    page.get_by_text("divergence.low").first.wait_for()
    page.screenshot(path=screenshots / "mlflow_model.png")
    page.goto(f"{address}/artifacts?workflowType=machine_learning")
    page.get_by_text("proof.json").first.wait_for()
    page.get_by_text("x-trial3-2.09MB.mlpackage").first.wait_for()
