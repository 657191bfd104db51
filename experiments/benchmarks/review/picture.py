"""The picture of the review page in the README: two members of a search compared, as a browser shows them.

    python -m experiments.benchmarks.review.picture runs/efficientnet_lite0/review.html "a=35&b=3&mb=2.4"

The fragment says what is chosen, as in the page's address. Writes ``docs/images/review.png``.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from experiments.benchmarks.review.in_browser import FLAGS, chromium

OUT = Path(__file__).parents[3] / "docs" / "images" / "review.png"
WIDTH, HEIGHT, SCALE = 1300, 1374, 1.4
COLOURS = 256


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="a review.html")
    parser.add_argument("fragment", help="what is chosen, as in the page's address")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE)
        shown.goto(f"{asked.page.resolve().as_uri()}#{asked.fragment}")
        shown.wait_for_function("() => performance.getEntriesByName('palettune:ready').length")
        shown.wait_for_timeout(500)
        taken = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
        browser.close()
    taken.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
