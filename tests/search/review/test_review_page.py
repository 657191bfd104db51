"""The page as one file: its parts, its data, its weight, and how it is written."""

import gzip
import os
import re
import subprocess
import sys

import pytest

from experiments.benchmarks.review.made_up_search import made_up_source
from palettune.search.review.review_data import review_data
from palettune.search.review.review_page import review_html, write_review
from palettune.space.errors import UserError
from tests.search.review.page_reader import data_of

PAGE = """<!doctype html><html lang="en"><head><title>Palettune</title>
<link rel="stylesheet" href="page.css">
</head><body>
<script id="data" type="application/gzip;base64"></script>
<script src="vendor/small.js"></script>
<script type="module" src="page.js"></script>
</body></html>"""


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "parts"
    (folder / "vendor").mkdir(parents=True)
    (folder / "page.html").write_text(PAGE)
    (folder / "page.css").write_text("body { color: #123456 }")
    (folder / "page.js").write_text(r"const pattern = '\\1 \\g<0>';")
    (folder / "vendor" / "small.js").write_text("/* MIT */ const small = 1;")
    return folder


def test_parts_and_data_become_one_file_in_their_order(parts):
    data = {"name": "a <b> & c", "value": [1, None, 0.5]}
    html = review_html(data, parts)
    assert data_of(html) == data
    assert "<title>a &lt;b&gt; &amp; c · Palettune</title>" in html
    assert "<style>\nbody { color: #123456 }\n</style>" in html
    assert '<script type="module">\n' in html
    assert r"const pattern = '\\1 \\g<0>';" in html
    assert html.index("const small") < html.index("const pattern")
    assert not re.search(r'<(script|link)[^>]*\b(src|href)="', html)
    assert review_html(data, parts) == html


def test_text_of_the_data_cannot_end_its_element(parts):
    data = {"name": "</script><script>alert(1)</script>"}
    html = review_html(data, parts)
    assert html.count("<script") == PAGE.count("<script")
    assert data_of(html) == data


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("page.js", "const s = '</SCRIPT>'", "page.js"),
        ("page.css", "/* </style> */", "page.css"),
        ("page.html", PAGE.replace("<title>Palettune</title>", ""), "<title>"),
        ("page.html", PAGE.replace(' type="application/gzip;base64"', ""), 'id="data"'),
    ],
)
def test_parts_that_would_break_the_page_are_refused(parts, name, text, words):
    (parts / name).write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)):
        review_html({"name": "x"}, parts)


def test_a_page_is_written_whole_or_not_at_all(source, tmp_path, monkeypatch):
    path = tmp_path / "deep" / "page.html"
    write_review(source, path)
    before = path.read_text()
    assert data_of(before)["name"] == "x"
    assert path.stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr(os, "fdopen", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match=r"page.html: .*No space left"):
        write_review(source, path)
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_the_page_of_a_small_run_is_light_and_needs_nothing_else(frozen, tmp_path):
    path = frozen.review(tmp_path / "page.html")
    html = path.read_text()
    assert path.stat().st_size < 500_000
    assert data_of(html)["name"] == "tiny"
    assert 'lang="' in html
    assert not re.search(r'\b(src|href)="(?!#|data:)', html)


@pytest.mark.slow
def test_a_thousand_layers_and_a_thousand_trials_are_two_megabytes_at_most(tmp_path):
    data = review_data(made_up_source(1000, 1000, tmp_path))
    html = review_html(data)
    assert len(html.encode()) < 2_000_000
    assert data_of(html) == data


def test_the_page_needs_no_model_and_no_pictures(frozen, tmp_path):
    """Torch and coremltools take seconds; reading a run takes neither."""
    heavy = [
        "torch",
        "coremltools",
        "ray",
        "mlflow",
        "matplotlib",
        "sklearn",
        "pandas",
        "scipy.stats",
        "scipy.optimize",
    ]
    code = (
        "import sys, palettune as pt;"
        f"pt.open_run({str(frozen.experiment.file)!r}, root={str(frozen.folder.root)!r}).review({str(tmp_path / 'p')!r});"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.stdout.strip() == "[]", said.stderr


def test_data_are_compressed_the_same_way_every_time(parts):
    data = {"name": "x", "many": list(range(1000))}
    assert review_html(data, parts) == review_html(data, parts)
    assert len(review_html(data, parts)) < len(PAGE) + 2 * len(gzip.compress(str(data).encode(), mtime=0)) + 200
