"""Scores of models whose gradients do not reach every layer, from the file of the experiment to the file of scores."""

import io
import textwrap
from types import SimpleNamespace

import pytest
from rich.console import Console

from palettune.evaluators.compression.compression_time import compression_seconds
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.weights_and_scores import _say_minutes, fill_bank, restore_scores, score_layers
from palettune.search.preparation.preparation import prepare
from palettune.search.workers.evaluations import SearchStopped
from palettune.search.workers.requests import Describe, Score
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from tests.search.recording_evaluations import RecordingEvaluations

WORKLOAD = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.codes, self.decoder = nn.Linear(16, 12), nn.Embedding(32, 12), nn.Linear(12, 8)

    DECORATOR
    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(HIDDEN)

def model():
    torch.manual_seed(0)
    return Network()

def example_inputs():
    return (torch.ones(1, 16),)

def evaluation_data():
    for seed in (1, 2):
        yield (torch.randn(8, 16, generator=torch.Generator().manual_seed(seed)),), None
"""
CODES = "self.codes((z @ self.codes.weight.T).argmax(-1))"
CASES = {
    "no_grad": ("@torch.no_grad()", CODES, ("encoder", "codes", "decoder")),
    "inference_mode": ("@torch.inference_mode()", CODES, ("encoder", "codes", "decoder")),
    "argmax": ("", CODES, ("encoder",)),
    "straight through": ("", f"z + ({CODES} - z).detach()", ("codes",)),
    "nothing cut off": ("", "z + self.codes((z @ self.codes.weight.T).argmax(-1))", ()),
}


def prepared(folder, decorator, hidden):
    """Everything before a search: preparation, pool and what was said; and how to score."""
    (folder / "workload.py").write_text(
        textwrap.dedent(WORKLOAD)
        .replace("    DECORATOR\n", f"    {decorator}\n" if decorator else "")
        .replace("HIDDEN", hidden)
    )
    (folder / "experiment.toml").write_text(
        'name = "tiny"\nworkload = "workload.py"\n[space]\nencodings = ["fp16", "lut8", "lut2"]\n'
    )
    preparation = prepare(load_experiment(folder / "experiment.toml"))
    run = RunFolder(folder / "runs", "tiny")
    run.create()
    pool, said = RecordingEvaluations(preparation, run), io.StringIO()
    display = Display(Console(file=said, width=400, no_color=True))
    fill_bank(preparation, run, pool, display)
    energy = pool.result(Describe()).energy
    return pool, said, lambda: score_layers(preparation, preparation.identity(), run, pool, energy, display), run


@pytest.mark.parametrize("case", CASES)
def test_layers_that_no_gradient_reaches_are_run_instead_and_said_once(case, tmp_path):
    decorator, hidden, unreached = CASES[case]
    pool, said, score, run = prepared(tmp_path, decorator, hidden)
    scores, name = score()
    assert said.getvalue().count("no gradient reaches") == bool(unreached)
    assert "codes" not in unreached or "codes" in said.getvalue()
    for layer, encoding in scores.columns:
        assert scores.method_of(layer) == ("isolated" if layer in unreached else "fisher")
        assert scores.score(layer, encoding) > 0 or str(encoding) != "lut2"
    asked = {
        column[0] for r in pool.requests if isinstance(r, Score) and r.method == "isolated" for column in r.columns
    }
    assert asked == set(unreached)
    assert Scores.load(run.scores / name).methods == scores.methods
    pool.requests.clear()
    assert score()[0].by_sample.tolist() == scores.by_sample.tolist()
    assert pool.requests == []


def test_scores_of_before_are_completed(tmp_path):
    """What an earlier version left in the run folder: zeros, and no word of gradients."""
    pool, said, score, run = prepared(tmp_path, *CASES["argmax"][:2])
    whole, name = score()
    table = whole.by_sample.copy()
    table[:, [layer == "encoder" for layer, _ in whole.columns]] = 0.0
    Scores("fisher", whole.columns, table, None, 1.0, ("encoder",)).save(run.scores / name)
    pool.requests.clear()
    again, _ = score()
    assert {request.method for request in pool.requests} == {"isolated"}
    assert again.by_sample == pytest.approx(whole.by_sample)
    assert said.getvalue().count("no gradient reaches layer encoder:") == 2


@pytest.mark.parametrize("damage", ["gone", "cut", "not scores"])
def test_scores_that_are_gone_or_damaged_are_found_again(damage, tmp_path):
    pool, said, score, run = prepared(tmp_path, *CASES["nothing cut off"][:2])
    whole, name = score()
    path = run.scores / name
    data = path.read_bytes()

    def harm():
        path.unlink() if damage == "gone" else path.write_bytes(data[:-30] if damage == "cut" else b"scores")

    harm()
    again, other = score()  # as by a search with --fresh
    assert (other, again.by_sample.tolist()) == (name, whole.by_sample.tolist())
    assert ("damaged" in said.getvalue()) == (damage != "gone")
    harm()
    restore_scores(pool.preparation, path, pool, Reporter())
    assert Scores.load(path).by_sample.tolist() == whole.by_sample.tolist()
    pool.requests.clear()
    restore_scores(pool.preparation, path, pool, Reporter())
    assert pool.requests == []


def test_minutes_are_said_before_they_pass():
    layers = (Layer("large", LayerKind.LINEAR, (4096, 4096)), Layer("small", LayerKind.LINEAR, (64, 64)))
    preparation = SimpleNamespace(layers=layers)
    for missing, words in (
        ({"large": ["lut4", "lut6-v2"], "small": ["lut4"]}, "compressing 3 weights takes about"),
        ({"large": ["lut4", "int8"], "small": ["lut4-v2"]}, ""),
    ):
        said = io.StringIO()
        _say_minutes(
            preparation,
            {n: [Encoding.parse(s) for s in some] for n, some in missing.items()},
            2,
            Display(Console(file=said, width=400, no_color=True)),
        )
        assert words in said.getvalue()
        assert bool(words) == bool(said.getvalue())
        assert ("of it in lut6-v2" in said.getvalue()) == bool(words)


@pytest.mark.parametrize("spelling", ["lut4", "lut4-g16", "lut4-v2", "int8", "sparse50", "sparse50+lut4"])
def test_more_weights_take_longer(spelling):
    small, large = (Layer("x", LayerKind.LINEAR, (width, 256)) for width in (256, 2560))
    encoding = Encoding.parse(spelling)
    assert 0 < 2 * compression_seconds(small, encoding) < compression_seconds(large, encoding)


def test_compressing_and_scoring_stop_when_they_are_asked_to_and_keep_what_is_done(tmp_path):
    pool, _, _, run = prepared(tmp_path, *CASES["nothing cut off"][:2])
    preparation = prepare(load_experiment(tmp_path / "experiment.toml"))
    whole = sorted(run.bank.rglob("*.safetensors"))
    for path in whole:
        path.unlink()
    pool = RecordingEvaluations(preparation, run)
    with pytest.raises(SearchStopped):
        fill_bank(preparation, run, pool, Reporter(), lambda: any(run.bank.rglob("*.safetensors")))
    kept = len(list(run.bank.rglob("*.safetensors")))
    assert 0 < kept < len(whole)
    with pytest.raises(SearchStopped):
        score_layers(preparation, preparation.identity(), run, pool, (1.0,), Reporter(), lambda: True)
    assert not list(run.scores.glob("*"))
