"""How the page looks: dark, on a phone, on paper, for those who do not see it; and that a thousand layers stay light."""

import json

import pytest

from palettune.search.review.review_page import review_html

SEEN = {
    "light": (1400, "light"),
    "dark": (1400, "dark"),
    "phone": (390, "light"),
    "dark phone": (390, "dark"),
    "tablet": (900, "light"),
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(reader):
    """What axe-core finds, as lines."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe-core: pip install axe-playwright-python"
    )
    found = axe.Axe().run(reader.page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def everything(reader):
    """A fragment that shows every part of the page: a comparison, a budget, what-if, a layer's details."""
    first, last = reader.data["front"][1], reader.data["front"][-2]
    size = reader.trial(last)["size_mb"]
    other = reader.data["encodings"][reader.data["layers"][0]["menu"][0]]["name"]
    return f"a={first}&b={last}&mb={size:.3f}&if=0.{other}&layer=2&all=1"


def shrink(data):
    """Figures that take much room: with powers of ten, of unseen data, too."""
    for row in (row for row in data["trials"] if row["divergence"] is not None):
        figures = {key: row[key] and 2.3e-10 * row[key] for key in ("divergence", "low", "high")}
        row |= {**figures, "verdict": "holds", "unseen": {**figures, "metrics": row["metrics"]}}


def test_the_page_says_its_name_and_its_language(reader):
    assert reader.page.title() == f"{reader.data['name']} · Palettune"
    assert reader.page.get_attribute("html", "lang") == "en"


def test_nothing_is_asked_of_a_network(visit):
    reader = visit()
    asked = reader.page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in asked if not name.startswith(("data:", "blob:"))] == []


@pytest.mark.slow
def test_axe_finds_nothing_at_first(visit):
    assert violations(visit(layers=6, trials=24)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_axe_finds_nothing_where_everything_is_shown(visit, screenshots, name):
    width, scheme = SEEN[name]
    reader = visit(layers=12, trials=40, width=width, scheme=scheme)
    reader.open(everything(reader))
    reader.page.reload()
    reader.page.wait_for_selector("main")
    reader.page.keyboard.press("?")
    reader.settle()
    reader.page.screenshot(path=screenshots / f"{name.replace(' ', '_')}.png", full_page=True)
    assert violations(reader) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow_pages_do_not_scroll_sideways(visit, made_up, tmp_path, width):
    """Nor where names and notes are long and without a space, and figures are written with powers of ten."""
    data = json.loads(json.dumps(made_up(12, 40)[0]).replace('"top1"', '"top1_agreement"'))
    shrink(data)
    data["commands"]["experiment"] = "experiments/" + "a_long_name_" * 12 + ".toml"
    data["checks"]["notes"] = ["/" + "folder/" * 60, "n" * 300]
    data["name"], data["layers"][0]["name"] = "n" * 80, "module." * 30 + "0.weight"
    path = tmp_path / "long.html"
    path.write_text(review_html(data), encoding="utf-8")
    reader = visit(width=width, height=800, found=(data, path))
    reader.open(everything(reader))
    reader.page.reload()
    reader.page.wait_for_selector("main")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("every", ["", "&all=1"])
def test_columns_stand_below_their_titles_and_tables_within_their_cards(visit, timed, tmp_path, every):
    data, path = json.loads(json.dumps(timed[0]).replace('"top1"', '"top1_agreement"')), tmp_path / "tiny.html"
    shrink(data)
    path.write_text(review_html(data), encoding="utf-8")
    reader = visit(f"a={data['front'][1]}&b={data['front'][-2]}{every}", found=(data, path))
    sides = """[...document.querySelectorAll('.trials')].map((table) => ['thead tr > *', 'tbody tr:not([aria-hidden]) > *'].map(
        (row) => [...table.querySelectorAll(row)].slice(0, table.querySelectorAll('thead th').length)
            .map((cell) => getComputedStyle(cell).textAlign)))"""
    for titles, cells in reader.page.evaluate(sides):
        assert titles == cells
    beyond = """[...document.querySelectorAll('.comparison .figures, .inside .figures')].map((table) => {
        const around = table.parentElement;
        return table.getBoundingClientRect().right - around.getBoundingClientRect().right + parseFloat(getComputedStyle(around).paddingRight);
    })"""
    assert max(reader.page.evaluate(beyond)) < 1


def test_dark_follows_the_system_and_the_button(visit, screenshots):
    reader = visit(scheme="dark", layers=12, trials=40)

    def ground():
        return reader.page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = ground()
    reader.page.screenshot(path=screenshots / "dark_first.png")
    reader.page.click("text=Dark or light")
    assert ground() != dark
    reader.page.click("text=Dark or light")
    assert ground() == dark


@pytest.mark.slow
def test_paper_has_every_layer_and_no_controls(visit, screenshots):
    reader = visit(layers=300, trials=60)
    reader.page.evaluate("import('state').then((state) => { state.folded.value = new Set() })")
    reader.settle()
    shown = reader.page.locator(".row [data-layer]").count()
    assert shown < 300
    reader.page.emulate_media(media="print")
    reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert reader.page.locator(".row [data-layer]").count() == 300
    assert not reader.page.locator("nav").is_visible()
    reader.page.pdf(path=screenshots / "paper.pdf")
    assert (screenshots / "paper.pdf").stat().st_size > 50_000
    reader.page.evaluate("dispatchEvent(new Event('afterprint'))")
    reader.settle()
    assert reader.page.locator(".row [data-layer]").count() == shown


@pytest.mark.slow
def test_a_thousand_layers_and_trials_are_a_page_of_few_elements(visit):
    reader = visit(layers=1000, trials=1000)
    reader.page.evaluate(
        "import('state').then((state) => { state.folded.value = new Set(); state.everyTrial.value = true })"
    )
    reader.settle()
    for place in (0, 8_000, 20_000):
        reader.page.evaluate("(y) => scrollTo(0, y)", place)
        reader.settle()
        assert reader.page.evaluate("document.querySelectorAll('*').length") < 6_000
    where = reader.page.evaluate("document.elementFromPoint(200, 500).closest('.row')?.innerText ?? ''")
    assert "encoder.layers" in where or "attention" in where or "mlp" in where
    second = reader.data["front"][-1]
    reader.page.select_option("select[aria-label='Trial B']", str(second))
    assert reader.chosen()[1] == second


@pytest.mark.slow
def test_within_another_page_it_works_without_an_address_and_a_clipboard(visit, made_up, tmp_path):
    """As MLflow shows artifacts: in a frame that may run scripts and nothing else."""
    _, path = made_up()
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe sandbox="allow-scripts" style="width:1200px;height:900px" src="{path.as_uri()}"></iframe>'
    )
    reader = visit(layers=12, trials=40)
    reader.page.goto(frame.as_uri())
    inner = reader.page.frame_locator("iframe")
    inner.locator("main").wait_for()
    inner.locator("select[aria-label='Trial B']").select_option(index=1)
    assert inner.locator(".figures thead .b").first.is_visible()
