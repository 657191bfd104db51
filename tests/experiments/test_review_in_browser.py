"""How quick the review page is in a browser, measured of a small one."""

import json
import shutil
import sys

import pytest

from experiments.benchmarks.review import in_browser


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("chromium") or shutil.which("google-chrome")), reason="no Chromium here")
def test_every_change_has_its_milliseconds(tmp_path, monkeypatch, capsys):
    out = tmp_path / "in_browser.json"
    words = ("in_browser", "--layers", "12", "18", "--trials", "30", "--times", "1", "--out", str(out))
    monkeypatch.setattr(sys, "argv", list(words))
    in_browser.main()
    told = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == told
    assert [(page["layers"], page["trials"]) for page in told["pages"]] == [(12, 30), (18, 30)]
    for page in told["pages"]:
        changes = [page[name] for name in ("choose_a", "compare_b", "hover", "scroll", "budget", "what_if", "filter")]
        assert 0 < min(changes) <= max(changes) <= page["slowest"]
        assert page["ready"] > 0
        assert page["ready_cpu"] > 0
