"""How quick the review page is in a browser: until it can be used, and while it is used, for searches of several sizes.

    python -m experiments.benchmarks.review.in_browser
    python -m experiments.benchmarks.review.in_browser --layers 50 --trials 60 --times 1 --out build/in_browser.json

Times are milliseconds, the medians of a few pages, in the system's Chromium without a GPU: ``ready`` from the address to
drawn and waiting, ``ready_cpu`` what the page's own thread worked until then, the others from a change to the next frame,
of a dozen changes; ``slowest`` is the slowest of all these. Writes ``in_browser.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from experiments.benchmarks.review.made_up_search import made_up_source
from experiments.benchmarks.review.run import LAYERS, TRIALS
from palettune.search.review.review_page import write_review

TIMES = 3
RESULT = Path(__file__).with_name("in_browser.json")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")

#: From the address to drawn and waiting for the reader.
READY = "performance.getEntriesByName('palettune:ready')[0].startTime"

#: Until the next frame is on the screen after each of some changes.
CHANGES = """async () => {
    const [state, data] = await Promise.all([import('state'), import('data')]);
    const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const time = async (change) => {
        const times = [];
        for (let i = 0; i < 12; i++) {
            await frame();
            const began = performance.now();
            change(i);
            await frame();
            times.push(performance.now() - began);
        }
        times.sort((one, other) => one - other);
        result.slowest = Math.max(result.slowest, times.at(-1));
        return times[6];
    };
    const { run } = data;
    const member = (i) => run.front[i % run.front.length];
    const budget = (i) => run.floatMb * (0.2 + 0.05 * i);
    const result = { slowest: 0 };
    result.choose_a = await time((i) => (state.first.value = member(i)));
    result.compare_b = await time((i) => (state.second.value = member(i + 1)));
    result.hover = await time((i) => (state.hovered.value = run.byTrial.get(member(i))));
    state.folded.value = new Set();
    result.scroll = await time((i) => scrollTo(0, 1200 + i * 900));
    scrollTo(0, 0);
    result.budget = await time((i) => (state.sizeBudget.value = budget(i)));
    result.what_if = await time((i) => (state.edits.value = new Map([[i, run.groups[i].menu[1]]])));
    result.filter = await time((i) => (state.wanted.value = ['que', 'mlp', 'layers.1', ''][i % 4]));
    return result;
}"""


def measured(browser: Browser, page: Path, times: int) -> dict[str, float]:
    """Medians of one page's times."""
    ready, busy, changes = [], [], []
    for _ in range(times):
        opened = browser.new_page(viewport={"width": 1440, "height": 1000})
        tools = opened.context.new_cdp_session(opened)
        tools.send("Performance.enable", {"timeDomain": "threadTicks"})
        opened.goto(page.as_uri())
        opened.wait_for_selector("main")
        ready.append(float(opened.evaluate(READY)))
        spent = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
        busy.append(1e3 * spent["TaskDuration"])
        changes.append(opened.evaluate(CHANGES))
        opened.close()
    names = changes[0]
    return {
        "ready": round(statistics.median(ready)),
        "ready_cpu": round(statistics.median(busy)),
        **{name: round(statistics.median(float(found[name]) for found in changes), 1) for name in names},
    }


def chromium() -> str:
    """Return the path of the system's browser."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("no Chromium on this machine (Debian: apt-get install chromium)")
    return path


def main() -> None:
    """Print and write what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=LAYERS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--times", type=int, default=TIMES, help="pages of each size")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    path = chromium()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        for layers in arguments.layers:
            source = made_up_source(layers, arguments.trials, Path(temporary))
            write_review(source, source.folder.review)
            found = measured(browser, source.folder.review, arguments.times)
            rows.append({"layers": layers, "trials": arguments.trials, **found})
        browser.close()
    told = json.dumps({"cores": os.cpu_count(), "times": arguments.times, "pages": rows}, indent=2)
    arguments.out.write_text(told + "\n")
    print(told)


if __name__ == "__main__":
    main()
