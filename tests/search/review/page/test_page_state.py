"""What a reader chooses by mouse and keyboard, and that a link shows what its sender saw."""

import json
from datetime import UTC, datetime

import pytest

from palettune.search.review.review_page import review_html


def test_a_click_chooses_a_and_a_shift_click_b(reader):
    first, second = reader.apart()[0], reader.apart()[-1]
    reader.click(first)
    assert reader.chosen() == (first, None)
    reader.click(second, shift=True)
    assert reader.chosen() == (first, second)
    assert reader.page.input_value("select[aria-label='Trial B']") == str(second)
    reader.click(second, shift=True)
    assert reader.chosen() == (first, None)


def test_without_a_shift_key_a_button_makes_the_next_click_b(reader):
    reader.page.click("text=Compare with …")
    other = next(number for number in reader.apart() if number != reader.data["knee"])
    reader.click(other)
    assert reader.chosen() == (reader.data["knee"], other)


def test_hovering_shows_a_trial_and_changes_nothing(reader):
    number = reader.apart()[0]
    reader.page.mouse.move(*reader.at(number))
    reader.settle()
    assert f"trial {number}" in reader.text(".chart .preview") or reader.trial(number)["baseline"]
    assert reader.chosen() == (reader.data["knee"], None)
    reader.page.mouse.move(5, 5)
    reader.settle()
    assert reader.page.locator(".chart .preview").count() == 0


def test_the_front_is_walked_by_the_keyboard(reader):
    line = [member["trial"] for member in reader.members()]
    reader.page.focus(".chart")
    reader.page.keyboard.press("Home")
    reader.page.keyboard.press("Enter")
    reader.page.keyboard.press("ArrowRight")
    reader.page.keyboard.press("Shift+Enter")
    assert reader.chosen() == (line[0], line[1])
    assert f"trial {line[1]}" in reader.page.text_content("[role=status]") or reader.trial(line[1])["baseline"]
    reader.page.keyboard.press("x")
    assert reader.chosen() == (line[1], line[0])
    reader.page.keyboard.press("Escape")
    assert reader.chosen() == (line[1], None)


def test_layers_are_walked_by_the_keyboard_and_only_one_cell_is_a_tab_stop(reader):
    assert reader.page.locator(".layers [tabindex='0']").count() == 1
    reader.page.focus(".layers [tabindex='0']")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        reader.page.keyboard.press(key)
        reader.settle()
    where = reader.page.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.column]")
    assert where[0] == "2"
    assert int(where[1]) >= 1
    assert reader.page.locator(".layers [tabindex='0']").count() == 1
    reader.page.keyboard.press("ArrowLeft")
    reader.settle()
    reader.page.keyboard.press("Enter")
    reader.settle()
    assert reader.page.locator(".detail").count() == 1


def test_the_slider_sets_the_budget_and_the_answer_begins_with_what_was_measured(reader):
    reader.page.locator("#budget-size_mb").scroll_into_view_if_needed()
    box = reader.page.locator("#budget-size_mb").bounding_box()
    middle, end = box["y"] + box["height"] / 2, box["x"] + 0.4 * box["width"]
    reader.page.mouse.move(box["x"] + box["width"] - 8, middle)
    reader.page.mouse.down()
    reader.page.mouse.move(end, middle, steps=5)
    reader.page.mouse.up()
    reader.settle()
    budget = reader.do("(await import('state')).sizeBudget.value")
    line = reader.page.locator(".budget line").bounding_box()
    assert line["x"] == pytest.approx(end, abs=4)  # the slider lies below the axis that it bounds
    assert reader.page.input_value("#budget-size_mb-number") == str(budget)
    lines = reader.page.locator(".answer p")
    assert lines.nth(0).inner_text().startswith("Best measured within it: trial")
    assert lines.nth(1).inner_text().startswith("Predicted for exactly it, data-free, not measured")
    assert reader.page.locator(".budget line").count() == 1


def test_what_if_is_undone_reset_and_begun_from_what_was_solved(reader):
    layer = reader.data["layers"][0]
    own = ord(reader.trial(reader.data["knee"])["configuration"][0]) - 48
    others = [i for i in layer["menu"] if i != own]
    reader.page.click(f"[data-cell='0'][data-id='{others[0]}']")
    reader.page.click(f"[data-cell='1'][data-id='{reader.data['layers'][1]['menu'][0]}']")
    reader.settle()
    changes = reader.do("(await import('state')).edits.value.size")
    reader.page.click("text=Undo")
    reader.settle()
    assert reader.do("(await import('state')).edits.value.size") == changes - 1
    reader.page.click(".what-if >> text=Reset")
    reader.settle()
    assert reader.page.locator(".what-if").count() == 0
    reader.page.fill("#budget-size_mb-number", str(reader.trial(reader.data["knee"])["size_mb"]))
    reader.page.keyboard.press("Enter")
    reader.page.click("text=Show as what-if")
    reader.settle()
    assert "the solved configuration" in reader.text(".what-if")


def test_a_cell_chosen_again_takes_the_change_back(reader):
    own = ord(reader.trial(reader.data["knee"])["configuration"][0]) - 48
    other = next(i for i in reader.data["layers"][0]["menu"] if i != own)
    reader.page.click(f"[data-cell='0'][data-id='{other}']")
    reader.page.click(f"[data-cell='0'][data-id='{own}']")
    reader.settle()
    assert reader.page.locator(".what-if").count() == 0


def test_a_configuration_is_downloaded(reader):
    own = ord(reader.trial(reader.data["knee"])["configuration"][0]) - 48
    other = next(i for i in reader.data["layers"][0]["menu"] if i != own)
    reader.page.click(f"[data-cell='0'][data-id='{other}']")
    with reader.page.expect_download() as found:
        reader.page.click(".what-if >> text=Download")
    with open(found.value.path()) as file:
        assert len(json.load(file)["encodings"]) == len(reader.data["layers"])
    assert found.value.suggested_filename == f"{reader.data['name']}-what-if.json"


def test_a_block_is_folded_and_changed_as_a_whole(reader):
    rows = reader.page.locator(".row [data-layer]").count()
    reader.page.click("[data-block='0']")
    reader.settle()
    inside = reader.do("(await import('data')).run.blocks[0].layers.length")
    assert reader.page.locator(".row [data-layer]").count() == rows - inside
    cell = reader.page.locator("[data-of='0']").last
    encoding = int(cell.get_attribute("data-id"))
    cell.click()
    reader.settle()
    changed = reader.do("[...(await import('state')).edits.value.values()]")
    assert changed == [encoding] * len(changed)
    assert 0 < len(changed) <= inside


def test_filters_find_layers_by_name_and_by_encoding(reader):
    knee = reader.trial(reader.data["knee"])
    wanted = reader.encoding(knee, 3)
    expected = sum(wanted in reader.encoding(knee, i) for i in range(len(reader.data["layers"])))
    reader.page.keyboard.press("/")
    reader.page.keyboard.type(wanted)
    reader.settle()
    assert reader.page.locator(".row [data-layer]").count() == expected
    reader.page.fill("#find", "nothing is called so")
    reader.settle()
    assert "No layer is like that" in reader.text(".layers")


def test_every_trial_is_listed_and_sorted_on_request(reader):
    assert reader.page.locator(".trials tbody tr:not([aria-hidden])").count() >= len(reader.data["front"])
    reader.page.check("text=every trial, not only the front")
    reader.page.click("#trials thead >> text=divergence")
    reader.settle()
    shown = reader.page.locator("#trials td.divergence").first.inner_text()
    least = min(t["divergence"] for t in reader.data["trials"] if t["divergence"] is not None)
    assert shown == reader.do("(await import('format')).digits(value)", least)


FRAGMENTS = [
    "a={first}&b={second}",
    "a={first}&mb=2.5",
    "a={first}&if=0.int8_3.lut4&sort=bytes",
    "a={first}&b={second}&find=query&differ=1",
    "a={first}&y=top1&layer=3",
    "a={first}&all=1&order=-divergence&fold=0_2",
]


@pytest.mark.matrix(2)
@pytest.mark.parametrize("form", FRAGMENTS)
def test_a_link_shows_what_its_sender_saw(reader, form):
    fragment = form.format(first=reader.data["front"][0], second=reader.data["front"][-1])
    reader.page.evaluate("(text) => { location.hash = text }", fragment)
    reader.settle()
    assert reader.do("(await import('fragment')).fragment()") == fragment
    drawn = reader.page.inner_text("main")
    reader.begin()
    reader.fragment()
    assert reader.page.inner_text("main") != drawn
    reader.page.evaluate("(text) => { location.hash = text }", fragment)
    reader.settle()
    assert reader.page.inner_text("main") == drawn


def test_the_address_follows_what_is_chosen(reader):
    first, second = reader.data["front"][0], reader.data["front"][-1]
    reader.fragment()  # the address that the test before has left is taken by now
    reader.page.select_option("select[aria-label='Trial A']", str(first))
    reader.page.select_option("select[aria-label='Trial B']", str(second))
    assert reader.fragment() == f"a={first}&b={second}"


@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    "fragment",
    [
        "a=99999&b=x",
        "if=999.int8_x.y_0.1",
        "layer=-1&sort=no&y=no&x=no&mb=x",
        "x=latency_ms&ms=3&mb=-1",
        "%%%=&&&",
        "fold=9999",
    ],
)
def test_a_damaged_address_shows_the_page_as_at_first(reader, fragment):
    reader.page.evaluate("(text) => { location.hash = text }", fragment)
    reader.settle()
    assert reader.chosen() == (reader.data["knee"], None)
    assert reader.page.locator(".row [data-layer]").count() == len(reader.data["layers"])
    assert reader.page.locator(".what-if, .answer .measured").count() == 0
    assert reader.page.locator(".chart .member").count() == len(reader.data["front"])


def test_a_search_that_has_only_begun_is_shown(visit, made_up, tmp_path):
    data = json.loads(json.dumps(made_up(6, 24)[0]))
    data |= {"trials": [], "front": [], "knee": None, "prediction": None, "state": "running", "seconds": None}
    data["history"] = {"hypervolume": [], "phases": []}
    for layer in data["layers"]:
        layer["loss"] = None
    path = tmp_path / "begun.html"
    path.write_text(review_html(data), encoding="utf-8")
    reader = visit(found=(data, path))
    assert "No trial has a result yet" in reader.text("#comparison")
    assert "running" in reader.text("h1")


def test_without_scores_sizes_are_exact_and_nothing_is_predicted(visit, made_up, tmp_path):
    data = json.loads(json.dumps(made_up(6, 24)[0]))
    data |= {"prediction": None}
    for layer in data["layers"]:
        layer["loss"] = None
    path = tmp_path / "unscored.html"
    path.write_text(review_html(data), encoding="utf-8")
    reader = visit(found=(data, path))
    reader.page.fill("#budget-size_mb-number", str(data["float_bytes"] / 2e6))
    reader.page.keyboard.press("Enter")
    own = ord(reader.trial(data["knee"])["configuration"][0]) - 48
    reader.page.click(f"[data-cell='0'][data-id='{next(i for i in data['layers'][0]['menu'] if i != own)}']")
    reader.settle()
    assert reader.page.locator(".answer .predicted").count() == 0
    assert "divergence ≈ –" in reader.text(".what-if")


def test_a_page_of_a_running_search_opens_anew_and_keeps_what_is_chosen(visit, made_up, tmp_path):
    data = json.loads(json.dumps(made_up(6, 24)[0]))
    data |= {"state": "running", "written": datetime.now(UTC).isoformat(timespec="seconds")}
    path = tmp_path / "running.html"
    path.write_text(review_html(data), encoding="utf-8")
    reader = visit(found=(data, path))
    reader.page.clock.install()
    reader.page.reload()
    reader.page.wait_for_selector("main")
    other = reader.data["front"][0]
    reader.page.select_option("select[aria-label='Trial A']", str(other))
    reader.page.clock.fast_forward(1_000)
    assert reader.fragment() == f"a={other}"
    with reader.page.expect_navigation():
        reader.page.clock.fast_forward(45_000)
    reader.page.wait_for_selector("main")
    assert reader.chosen()[0] == other
