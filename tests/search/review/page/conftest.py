"""A real browser that shows pages of made-up searches; whatever it complains of fails the test."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.review.made_up_search import made_up_source
from palettune.search.review.review_data import review_data
from palettune.search.review.review_page import review_html
from tests.search.review.page.reader import Reader
from tests.search.review.page_reader import encodings_of, milliseconds, total

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, with a profile of its own; ended with its file, as its event loop would stop others."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """The data and the file of a search that nobody ran, by its layers and trials."""
    folder, known = tmp_path_factory.mktemp("pages"), {}

    def make(layers=48, trials=80):
        if (layers, trials) not in known:
            data = review_data(made_up_source(layers, trials, folder))
            path = folder / f"{layers}_{trials}.html"
            path.write_text(review_html(data), encoding="utf-8")
            known[layers, trials] = data, path
        return known[layers, trials]

    return make


@pytest.fixture(scope="session")
def timed(made_up, tmp_path_factory):
    """The same of a search with latency as a second cost, every third trial measured, and a recipe of its own encoding."""
    data, random = json.loads(json.dumps(made_up(12, 40)[0])), np.random.default_rng(0)
    terms = {"busy_us": 60.0, "stream_us": 20.0, "floor_us": 120.0, "overlap": 2.2, "resident_us": 30.0, "excess": 1.2}
    data["latency"] = {**terms, "constant_us": 100.0, "at": data["knee"], "low": 0.85, "high": 1.2}
    data |= {"device": "iPhone 15 Pro", "costs": ["size_mb", "latency_ms"]}
    for layer in data["layers"]:
        layer |= {
            f"{kind}_us": random.uniform(1, 20, len(layer["menu"])).tolist() for kind in ("busy", "stream", "latency")
        }
    recipe = next(row for row in data["trials"] if row["status"] == "dominated" and row["origin"] == "guided")
    data["layers"][0]["brought"] = {
        "encodings": [len(data["encodings"])], "bytes": [4321], "loss": [0.25], "busy_us": [7.0], "stream_us": [8.0],
        "latency_us": [9.0],
    }  # fmt: skip
    recipe |= {"recipe": "by hand", "configuration": chr(48 + len(data["encodings"])) + recipe["configuration"][1:]}
    data["encodings"].append({"name": "lut5", "bits": 5.0, "family": "palette"})
    recipe["weight_bytes"] = data["constant_bytes"] + total(data, encodings_of(data, recipe), "bytes")
    recipe["loss"] = total(data, encodings_of(data, recipe), "loss")
    for row in data["trials"]:
        row["latency_ms"] = milliseconds(data, encodings_of(data, row))
        row["measured_latency_ms"] = None if row["trial"] % 3 else 1.4 * row["latency_ms"]
        row["known_latency_ms"] = row["measured_latency_ms"] or 1.1 * row["latency_ms"]
    path = tmp_path_factory.mktemp("timed") / "timed.html"
    path.write_text(review_html(data), encoding="utf-8")
    return data, path


@pytest.fixture(scope="session")
def screenshots():
    """Where pictures of the page are kept: a folder that git ignores."""
    folder = Path(os.environ.get("PALETTUNE_SCREENSHOTS", Path(__file__).parents[4] / "build" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def page(browser, made_up):
    """One page for a whole file of tests; ``reader`` brings it back to its beginning."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = Reader(context.new_page(), *made_up())
    opened.open()
    yield opened
    context.close()


@pytest.fixture
def reader(page):
    """The page as it is at first."""
    page.begin()
    yield page
    assert page.complaints == []


@pytest.fixture
def visit(browser, made_up):
    """Opens a page of its own; ``found`` is other data with their file."""
    contexts, readers = [], []

    def opened(fragment="", layers=48, trials=80, width=1400, height=1000, scheme="light", found=None, touch=False):
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=touch, is_mobile=touch)
        contexts.append(context)
        readers.append(Reader(context.new_page(), *(found or made_up(layers, trials))))
        readers[-1].open(fragment)
        return readers[-1]

    yield opened
    for context in contexts:
        context.close()
    assert [complaint for one in readers for complaint in one.complaints] == []
