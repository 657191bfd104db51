"""What the page computes is what Palettune computes: predictions, sizes, solved configurations, configurations."""

import json

import numpy as np
import pytest

from palettune.search.api.stored_configuration import read_configuration
from palettune.search.proposing.solver import Problem, solve
from palettune.search.review.review_page import review_html
from tests.search.review.page_reader import encodings_of, figure_of, predicted, total


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


@pytest.mark.slow
def test_one_large_layer_leaves_no_large_gap_in_what_the_browser_solves(visit, made_up, tmp_path):
    """As the classifier of a small network: between two exchange rates it takes more bytes than all others together."""
    data, path = json.loads(json.dumps(made_up(12, 40)[0])), tmp_path / "large.html"
    data["layers"][-1]["bytes"] = [40 * taken for taken in data["layers"][-1]["bytes"]]
    path.write_text(review_html(data), encoding="utf-8")
    losses, sizes = (tuple(np.array(layer[key], float) for layer in data["layers"]) for key in ("loss", "bytes"))
    least, most = (sum(float(end(row)) for row in sizes) for end in (np.min, np.max))
    rooms = [least + share * (most - least) for share in np.linspace(0.05, 0.4, 21)]
    script = """(([solver, what]) => value.map((room) => what.outcome(solver.solve(room).choice).loss))(
        await Promise.all([import('solver'), import('what_if')]))"""
    found = visit(found=(data, path)).do(script, [room + data["constant_bytes"] for room in rooms])
    exact = [solve(Problem(losses, {"bytes": sizes}, {"bytes": 0.0}), {"bytes": room}).loss for room in rooms]
    assert max(np.array(found) / np.array(exact)) < 1.15


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
    assert list(json.loads(path.read_text())["encodings"].items()) == list(encodings_of(reader.data, row).items())


def test_numbers_are_written_alike(reader):
    script = "((f) => value.map((number) => f.digits(number)))(await import('format'))"
    assert reader.do(script, [None, 0, 0.133, 0.0523, 0.0032, 4.321, 12345.6, 1.08e-5, 1e-6]) == [
        "–", "0", "0.133", "0.0523", "0.0032", "4.32", "12,346", "1.1·10⁻⁵", "1·10⁻⁶",
    ]  # fmt: skip


def test_factors_are_multiplications_or_divisions(reader):
    script = "((f) => value.map((number) => f.factor(number)))(await import('format'))"
    assert reader.do(script, [16.2, 0.000433, 1.001, 0.5]) == ["×16.2", "÷2,309", "same", "÷2.00"]


@pytest.mark.parametrize(
    ("end", "ticks"),
    [
        (0.9, ["0", "0.2 s", "0.4 s", "0.6 s", "0.8 s"]),
        (1770, ["0", "5 min", "10 min", "15 min", "20 min", "25 min"]),
        (9000, ["0", "30 min", "60 min", "90 min", "120 min", "150 min"]),
        (12000, ["0", "1 h", "2 h", "3 h"]),
        (6e5, ["0", "48 h", "96 h", "144 h"]),
    ],
)
def test_moments_are_round_and_in_one_unit(reader, end, ticks):
    script = "(({ moments, words }) => moments.map(words))((await import('history')).timeTicks(value))"
    assert reader.do(script, end) == ticks


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
    bound = sorted(row["known_latency_ms"] for row in rows)[len(rows) // 3]
    reader.page.fill("#budget-latency_ms-number", f"{bound:.4f}")
    reader.page.keyboard.press("Enter")
    reader.settle()
    assert "latency, measured or predicted on iPhone 15 Pro, ms" in reader.page.text_content(".chart svg")

    def best(latency):
        fits = [row for row in reader.members() if row[latency] <= float(f"{bound:.4f}")]
        return min(fits, key=lambda row: row["divergence"])["trial"]

    assert best("known_latency_ms") != best("latency_ms")  # as `solve` has it: what is measured counts
    assert f"trial {best('known_latency_ms')}," in reader.text(".answer .measured")
    assert "latency, predicted" in reader.text("#comparison")


def test_with_latency_as_a_cost_neighbours_are_told_apart_by_divergence(visit, timed, tmp_path):
    data = json.loads(json.dumps(timed[0]))
    rows = {row["trial"]: row for row in data["trials"]}
    for number, distinct in zip(data["front"], (False, True, None), strict=False):
        rows[number]["distinct_from_next"] = distinct
    path = tmp_path / "neighbours.html"
    path.write_text(review_html(data), encoding="utf-8")
    first, second, third, fourth = data["front"][:4]
    expected = {
        first: f"cannot be told apart from trial {second} by divergence",
        second: f"surely: differs from trial {third} by divergence",
        third: f"not compared with trial {fourth}: too few samples",
    }
    reader = visit(found=(data, path))
    for number, words in expected.items():
        reader.page.select_option("select[aria-label='Trial A']", str(number))
        reader.settle()
        assert reader.text(".figures .wordy:last-child") == f"other than the next? {words}"
    assert "divergence differs from the next" in reader.text("#trials thead")
    assert reader.page.locator(f"#trials td.next [title='{expected[first]}']").inner_text() == "not surely"


def test_a_trial_without_latency_is_within_no_latency(visit, timed, tmp_path):
    data = json.loads(json.dumps(timed[0]))
    best = min((row for row in data["trials"] if row["trial"] in data["front"]), key=lambda row: row["divergence"])
    best |= {"latency_ms": None, "measured_latency_ms": None, "known_latency_ms": None}
    path = tmp_path / "untimed.html"
    path.write_text(review_html(data), encoding="utf-8")
    reader = visit("ms=1000", found=(data, path))
    assert "Best measured within it: trial" in reader.text(".answer .measured")
    assert f"trial {best['trial']}," not in reader.text(".answer .measured")


def test_rows_of_layers_and_blocks_say_what_time_they_save(visit, timed):
    first, second = timed[0]["front"][0], timed[0]["front"][-1]
    reader = visit(f"a={first}", found=timed)
    layers = reader.data["layers"]
    one, other = (encodings_of(reader.data, reader.trial(number)) for number in (first, second))

    def shown(some, before, after):
        """What rows should say: microseconds of the second configuration, less those of the first."""
        found = [
            [figure_of(reader.data, layer, to[layer["name"]], "latency_us") for layer in some] for to in (before, after)
        ]
        more = sum(found[1]) - sum(found[0])
        return (
            "" if more == 0 else ("+" if more > 0 else "") + reader.do("(await import('format')).digits(value)", more)
        )

    def said(selector):
        return reader.page.locator(f".row{selector} .time").first.inner_text()

    block = [layer for layer in layers if layer["name"].startswith("encoder.layers.0.")]
    floats = dict.fromkeys(one, "fp16")
    assert [said(".block"), said(".inside")] == [shown(block, floats, one), shown(layers[:1], floats, one)]
    assert "µs, to fp16" in reader.text(".row.head .time")
    reader.page.select_option("select[aria-label='Trial B']", str(second))
    reader.settle()
    assert [said(".block"), said(".inside")] == [shown(block, one, other), shown(layers[:1], one, other)]


def test_times_with_inputs_in_int8_are_not_those_with_inputs_in_fp16(visit, timed):
    number = timed[0]["front"][0]
    reader = visit(found=timed)
    script = "((data) => (data.run.byTrial.get(value).activations = '1'.padEnd(12, '0')))(await import('data'))"
    reader.do(script, number)
    reader.page.select_option("select[aria-label='Trial A']", str(number))
    reader.settle()
    said = reader.page.locator(".row .time").all_inner_texts()[1:]
    assert said[:2] == ["–", "–"]  # the block and the layer; all others are known
    assert "–" not in said[2:]
    reader.page.click("[data-cell='1'][data-id='0']")
    reader.settle()
    assert " ms" not in reader.text(".what-if")


def test_an_encoding_that_a_recipe_brought_has_figures_and_cannot_be_chosen(visit, timed):
    recipe = next(row for row in timed[0]["trials"] if row["recipe"])
    reader = visit(f"a={recipe['trial']}&layer=0", found=timed)
    encodings, name = encodings_of(reader.data, recipe), reader.data["layers"][0]["name"]
    assert encodings[name] == "lut5"
    assert reader.page.locator(".row.inside .bytes").first.inner_text().strip() == "4.3 kB"
    assert "4.3 kB" in reader.text(".codes tr:has(th:has-text('lut5'))")
    assert "is predicted to cost 0.250" in reader.text(".detail .why")
    assert "not in this layer's menu" in reader.text(".detail .why")
    script = "((data) => data.run.groups[0].menu.includes(value))(await import('data'))"
    assert reader.do(script, len(reader.data["encodings"]) - 1) is False
    layer = reader.data["layers"][1]
    other = next(i for i in layer["menu"] if reader.data["encodings"][i]["name"] != encodings[layer["name"]])
    reader.page.click(f"[data-cell='1'][data-id='{other}']")
    reader.settle()
    encodings[layer["name"]] = reader.data["encodings"][other]["name"]
    size = reader.data["constant_bytes"] + total(reader.data, encodings, "bytes")
    assert f"{size / 1e6:.2f} MB" in reader.text(".what-if")
    assert (
        json.loads(
            reader.do("(await import('what_if')).configurationJson((await import('what_if')).whatIf.value.choice)")
        )["encodings"]
        == encodings
    )
