"""What the front's chart draws, mark by mark: each where its figure is, and none beyond the chart's edges."""

import json
import re

import pytest

from palettune.search.review.review_page import review_html
from tests.search.review.page.reader import Reader


@pytest.fixture(scope="module")
def marked(timed, tmp_path_factory):
    """A search whose members hold on unseen data, do not, or were checked on too few samples; one is far off."""
    data = json.loads(json.dumps(timed[0]))
    checked = [row for row in data["trials"] if row["unseen"] and row["trial"] in data["front"]]
    checked[0]["verdict"], checked[1]["verdict"] = "unsure", "above"
    checked[1]["unseen"] |= {"divergence": 400.0, "metrics": {"top1": 0.001}}
    data["constraints"] = [
        {"name": "size_mb", "relation": "<=", "value": 2.5},
        {"name": "divergence", "relation": "<=", "value": 2.0},
    ]
    proof = {"package": "knee.mlpackage", "path": "'my packages/knee.mlpackage'", "words": "", "coverage": None}
    data["checks"]["proofs"] = [proof | {"trial": data["knee"], "passed": True}]
    path = tmp_path_factory.mktemp("marked") / "marked.html"
    path.write_text(review_html(data), encoding="utf-8")
    return data, path


@pytest.fixture(scope="module")
def opened(browser, marked):
    """One page for all of these tests."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    reader = Reader(context.new_page(), *marked)
    reader.open()
    yield reader
    context.close()


@pytest.fixture
def marks(opened):
    """The page as at first, and a list of the attributes of all marks of a selector."""
    reader = opened
    reader.begin()

    def find(selector, *names):
        script = "(found, names) => found.map((one) => names.map((name) => one.getAttribute(name)))"
        return reader.page.eval_on_selector_all(f".chart svg {selector}", script, list(names))

    yield reader, find
    assert reader.complaints == []


def place(reader, number):
    """Where a trial's point is in the drawing."""
    box = reader.page.locator(".chart").bounding_box()
    left, top = reader.at(number)
    return pytest.approx((left - box["x"], top - box["y"]), abs=0.1)


def numbers(values):
    return tuple(map(float, values))


def test_every_mark_stands_where_its_figure_is(marks):
    reader, find = marks
    members = reader.members()
    escalated = next(row for row in members if row["escalated_from"] is not None)
    beginnings = [numbers(line) for line in find("line.escalation[marker-end]", "x1", "y1")]
    assert place(reader, escalated["escalated_from"]) in beginnings
    assert reader.page.locator(".limit text").all_text_contents() == ["limit 2.50 MB", "limit <= 2"]
    at = "(await import('axes')).geometry.value.atX(value)"
    for text, (line,) in zip(
        reader.page.locator(".ratio text").all_text_contents(), find(".ratio line", "x1"), strict=True
    ):
        size = reader.data["float_bytes"] / 1e6 / float(text.removeprefix("×"))
        assert float(line) == pytest.approx(reader.do(at, size))
    assert len(find(".ratio line", "x1")) > 1
    shown = ("front", "dominated", "infeasible")
    crosses = [row for row in reader.data["trials"] if row["unseen"] and row["status"] in shown]
    assert len(find("path.unseen", "d")) == len(crosses)
    assert len(find("path.unseen.above", "d")) == sum(row["verdict"] == "above" for row in crosses)
    uniform = [row for row in reader.data["trials"] if row["baseline"]]
    assert len(find(".baselines path.baseline", "d")) == len(uniform)
    labels = set(reader.page.locator(".baselines text").all_text_contents())
    assert {"* knee", "by hand"} < labels <= {"* knee", "by hand", *(row["baseline"] for row in uniform)}
    (recipe,) = (row for row in reader.data["trials"] if row["recipe"])
    ((square,),) = find(".baselines path.recipe", "d")
    corner = numbers(re.findall(r"[\d.]+", square)[:2])
    assert place(reader, recipe["trial"]) == (corner[0] + 4.5, corner[1] + 4.5)


def test_members_are_coloured_by_the_latency_that_is_known_of_them(marks):
    reader, find = marks
    shares = {int(trial): style for trial, style in find(".member.third", "data-trial", "style")}
    latency = {row["trial"]: row["known_latency_ms"] for row in reader.members()}
    assert set(shares) == set(latency)
    assert "--share: 0%" in shares[min(latency, key=latency.get)].replace(":0", ": 0")
    assert "100%" in shares[max(latency, key=latency.get)]


def test_measured_latency_stands_beside_what_was_predicted(marks):
    reader, _ = marks
    measured = next(row for row in reader.members() if row["measured_latency_ms"])
    other = next(row for row in reader.members() if not row["measured_latency_ms"])
    reader.page.select_option("select[aria-label='Trial A']", str(measured["trial"]))
    reader.page.select_option("select[aria-label='Trial B']", str(other["trial"]))
    reader.settle()
    rows = {
        name: reader.page.locator(f"#comparison .figures tr:has(th:text-is('latency, {name}')) td").all_text_contents()[
            :2
        ]
        for name in ("predicted", "calibrated", "measured")
    }
    words = "(await import('format')).milliseconds(value)"
    expected = [
        [reader.do(words, row["latency_ms"]) for row in (measured, other)],
        ["–", reader.do(words, other["known_latency_ms"])],
        [reader.do(words, measured["measured_latency_ms"]), "–"],
    ]
    assert list(rows.values()) == expected
    assert f"{expected[2][0]} measured" in reader.text(
        f"#trials tr:has(button[aria-label='trial {measured['trial']} as A'])"
    )


def test_the_knee_has_its_star_wherever_members_are_listed(marks):
    reader, _ = marks
    knee = reader.data["knee"]
    assert reader.text(f"#trials tr:has(button[aria-label='trial {knee} as A']) td.trial") == f"{knee} *"
    listed = reader.page.locator("select[aria-label='Trial A'] option").all_text_contents()
    assert [text for text in listed if "*" in text] == [text for text in listed if f"· {knee} · * knee" in text] != []


def test_a_member_of_too_few_samples_is_not_said_to_hold(marks):
    reader, _ = marks
    checked = [row for row in reader.members() if row["unseen"]]
    holding = sum(row["verdict"] == "holds" for row in checked)
    assert f"{holding} members of {len(checked)} checked hold, 1 of too few samples to tell" in reader.text("#checks")
    unsure = next(row for row in checked if row["verdict"] == "unsure")
    cell = reader.page.locator(f"#trials tr:has(button[aria-label='trial {unsure['trial']} as A']) td.unseen span")
    assert (cell.inner_text(), cell.get_attribute("class")) == ("too few samples", "muted")


def test_an_exported_package_is_verified_by_its_path(marks):
    reader, _ = marks
    commands = reader.page.locator("#comparison .command code").all_text_contents()
    assert "palettune verify 'my packages/knee.mlpackage' --against EXPERIMENT.toml" in commands


@pytest.mark.parametrize("fragment", ["", "y=top1", "x=latency_ms"])
def test_no_mark_lies_beyond_the_edges(marks, fragment):
    reader, find = marks
    reader.page.evaluate("(text) => { location.hash = text }", fragment)
    reader.settle()
    edges = reader.do("(await import('axes')).geometry.value.edges")
    drawn = [numbers(re.findall(r"[\d.]+", path)[:2]) for (path,) in find("path.unseen", "d")]
    drawn += [numbers(point) for point in find("circle.member", "cx", "cy")]
    assert len(drawn) > len(reader.members())
    for left, top in drawn:
        assert edges["left"] - 5 <= left <= edges["right"] + 5
        assert edges["top"] - 5 <= top <= edges["bottom"] + 5


def test_fingers_choose_both_trials_and_ask_what_if(visit, marked):
    reader = visit(found=marked, width=390, height=800, touch=True)
    first, second = reader.apart()[0], reader.apart()[-1]
    reader.page.locator(".chart").scroll_into_view_if_needed()
    reader.page.touchscreen.tap(*reader.at(first))
    reader.settle()
    assert reader.chosen() == (first, None)
    reader.page.locator("text=Compare with …").tap()
    reader.page.locator(".chart").scroll_into_view_if_needed()
    reader.page.touchscreen.tap(*reader.at(second))
    reader.settle()
    assert reader.chosen() == (first, second)
    reader.page.locator("[data-layer='1']").tap()
    reader.page.locator(".detail .menu button").first.tap()
    reader.settle()
    assert "1 change to A" in reader.text(".what-if")
