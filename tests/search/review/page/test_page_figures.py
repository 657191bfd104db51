"""What the page computes is what Palettune computes: predictions, sizes, solved configurations, configurations."""

import json

import numpy as np
import pytest

from palettune.search.api.stored_configuration import read_configuration
from palettune.search.proposing.solver import Problem, solve
from palettune.search.review.review_page import review_html
from tests.search.review.page_reader import encodings_of, milliseconds, predicted, total


def test_figures_of_configurations_are_those_of_python(reader):
    for row in reader.data["trials"][::9]:
        encodings = encodings_of(reader.data, row)
        script = """((what, data) => what.outcome(data.run.byTrial.get(value).choice))(
            await import('what_if'), await import('data'))"""
        found = reader.do(script, row["trial"])
        assert found["loss"] == pytest.approx(total(reader.data, encodings, "loss"), rel=1e-9)
        assert found["bytes"] == total(reader.data, encodings, "bytes") + reader.data["constant_bytes"]
        assert found["predicted"]["value"] == pytest.approx(predicted(reader.data, encodings), rel=1e-9)
        if found["loss"] > 0:
            assert found["predicted"]["low"] < found["predicted"]["value"] < found["predicted"]["high"]


@pytest.mark.matrix(2)
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
def test_solving_in_the_browser_comes_near_the_exact_solver(reader, share):
    layers = reader.data["layers"]
    losses, sizes = (tuple(np.array(layer[key], float) for layer in layers) for key in ("loss", "bytes"))
    least, most = (sum(float(end(row)) for row in sizes) for end in (np.min, np.max))
    room = least + share * (most - least)
    exact = solve(Problem(losses, {"bytes": sizes}, {"bytes": 0.0}), {"bytes": room})
    script = """((solver, what) => {
        const found = solver.solve(value);
        return found && what.outcome(found.choice);
    })(await import('solver'), await import('what_if'))"""
    found = reader.do(script, room + reader.data["constant_bytes"])
    assert found["bytes"] <= room + reader.data["constant_bytes"]
    assert found["loss"] <= exact.loss * 1.02 + 1e-5 * max(float(row.max()) for row in losses)


def test_a_budget_that_cannot_be_met_says_what_can_be_reached(reader):
    reader.page.fill("#budget-size_mb-number", "0.001")
    reader.page.keyboard.press("Enter")
    reader.settle()
    least = reader.data["constant_bytes"] + sum(min(layer["bytes"]) for layer in reader.data["layers"])
    text = reader.text(".answer")
    assert "Nothing measured fits" in text
    assert f"{least / 1e6:.2f}" in text


def test_a_copied_configuration_is_read_by_palettune(reader, tmp_path):
    row = reader.data["trials"][-1]
    script = """((what, data) => what.configurationJson(data.run.byTrial.get(value).choice, '1' + '0'.repeat(99)))(
        await import('what_if'), await import('data'))"""
    path = tmp_path / "configuration.json"
    path.write_text(reader.do(script, row["trial"]))
    configuration = read_configuration(path).configuration
    assert {name: str(e) for name, e in configuration.encodings.items()} == encodings_of(reader.data, row)
    assert dict(configuration.activations) == {reader.data["layers"][0]["name"]: "int8"}
    assert json.loads(path.read_text())["encodings"] == encodings_of(reader.data, row)


def test_numbers_are_written_alike(reader):
    script = "((f) => value.map((number) => f.digits(number)))(await import('format'))"
    assert reader.do(script, [None, 0, 0.133, 0.0523, 0.0032, 4.321, 12345.6, 1.08e-5, 1e-6]) == [
        "–", "0", "0.133", "0.0523", "0.0032", "4.32", "12,346", "1.1·10⁻⁵", "1·10⁻⁶",
    ]  # fmt: skip


def test_factors_are_multiplications_or_divisions(reader):
    script = "((f) => value.map((number) => f.factor(number)))(await import('format'))"
    assert reader.do(script, [16.2, 0.000433, 1.001, 0.5]) == ["×16.2", "÷2,309", "same", "÷2.00"]


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("blocks.6.expand.conv", "blocks.6"),
        ("model.layers.0.self_attn.q_proj", "model.layers.0"),
        ("stem.conv", "stem"),
        ("classifier", "classifier"),
        ("features.3", "features"),
    ],
)
def test_blocks_are_names_up_to_their_number(reader, name, block):
    assert reader.do("(await import('data')).blockName(value)", name) == block


@pytest.fixture
def timed(made_up, tmp_path):
    """A page whose search has latency as a second cost."""
    data, random = json.loads(json.dumps(made_up(12, 40)[0])), np.random.default_rng(0)
    data |= {"device": "iPhone 15 Pro", "costs": ["size_mb", "latency_ms"]}
    terms = {"busy_us": 60.0, "stream_us": 20.0, "floor_us": 120.0, "overlap": 2.2, "resident_us": 30.0, "excess": 1.2}
    data["latency"] = {**terms, "constant_us": 100.0, "at": data["knee"], "low": 0.85, "high": 1.2}
    for layer in data["layers"]:
        layer["busy_us"], layer["stream_us"], layer["latency_us"] = random.uniform(
            1, 20, (3, len(layer["menu"]))
        ).tolist()
    for row in data["trials"]:
        row["latency_ms"] = milliseconds(data, encodings_of(data, row))
    path = tmp_path / "timed.html"
    path.write_text(review_html(data), encoding="utf-8")
    return data, path


def test_latency_is_predicted_bounded_and_an_axis(visit, timed):
    reader = visit(found=timed)
    script = "((what, data) => what.outcome(data.run.byTrial.get(value).choice).ms)(await import('what_if'), await import('data'))"
    for row in reader.data["trials"][::7]:
        assert reader.do(script, row["trial"]) == pytest.approx(row["latency_ms"], rel=1e-9)
    rows = reader.data["trials"]
    bound = sorted(row["latency_ms"] for row in rows)[len(rows) // 3]
    script = """((solver, what) => what.outcome(solver.solve(1e12, value).choice))(
        await import('solver'), await import('what_if'))"""
    assert reader.do(script, bound)["ms"] <= bound
    reader.page.select_option("text=across", "latency_ms")
    reader.page.fill("#budget-latency_ms-number", f"{bound:.4f}")
    reader.page.keyboard.press("Enter")
    reader.settle()
    assert "predicted latency on iPhone 15 Pro, ms" in reader.page.text_content(".chart svg")
    fits = [t for t in rows if t["status"] in ("front", "dominated") and t["latency_ms"] <= float(f"{bound:.4f}")]
    assert f"trial {min(fits, key=lambda t: t['divergence'])['trial']}" in reader.text(".answer .measured")
    assert "latency, predicted" in reader.text("#comparison")
