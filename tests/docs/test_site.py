"""The documentation site, built strictly: every public name has its reference, and nothing is fetched from elsewhere."""

import re
import subprocess
import sys

import pytest

import palettune
from tests.docs.pages import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_public_name_is_in_the_reference(site):
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert [name for name in palettune.__all__ if f'id="palettune.{name}"' not in page] == []


def test_pages_of_the_repository_are_part_of_the_site(site):
    for page in ("index", "contributing", "changelog"):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        links = re.findall(r'(?:href|src)="([^":#]+)(?:#[^"]*)?"', text)
        assert len(links) > 10
        assert [link for link in links if not (site / link).exists()] == []


def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="https?://', text), page
