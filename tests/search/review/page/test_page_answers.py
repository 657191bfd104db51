"""Twelve questions of a reviewer: each is answered on the page after two actions at most."""

import json
import re

import pytest

ACTIONS = 2


@pytest.fixture
def act(reader):
    """Counts what the reader does; a question that needs more than two actions fails."""
    done = []

    def action(step, *arguments, **named):
        done.append(step)
        result = step(*arguments, **named)
        reader.settle()
        return result

    yield action
    assert len(done) <= ACTIONS


def budget_of(reader, number):
    """A budget just above a member's size."""
    return round(reader.trial(number)["size_mb"] + 0.001, 3)


def test_1_which_member_is_best_within_a_size(reader, act):
    number = reader.data["front"][len(reader.data["front"]) // 2]
    act(reader.page.fill, "#budget-size_mb-number", str(budget_of(reader, number)))
    act(reader.page.keyboard.press, "Enter")
    text = reader.text(".answer .measured")
    fits = [
        t
        for t in reader.data["trials"]
        if t["status"] in ("front", "dominated") and t["size_mb"] <= budget_of(reader, number)
    ]
    assert f"trial {min(fits, key=lambda t: t['divergence'])['trial']}" in text
    assert text.startswith("Best measured within it")


def test_2_what_does_it_do_to_a_layer_and_why(reader, act):
    layer = reader.data["layers"][-1]
    act(reader.page.fill, "#find", layer["name"])
    act(reader.page.click, f"[data-layer='{len(reader.data['layers']) - 1}']")
    knee = reader.trial(reader.data["knee"])
    text = reader.text(".detail .why")
    assert text.startswith(f"{reader.encoding(knee, -1)} saves")
    assert "a kB buys" in text
    assert "Next best is" in text


def test_3_is_it_surely_better_than_the_next(reader, act):
    members = [m for m in reader.members() if m["distinct_from_next"] is not None and m["trial"] in reader.apart()]
    act(reader.click, members[0]["trial"])
    words = "surely: differs from" if members[0]["distinct_from_next"] else "cannot be told apart from"
    assert words in reader.text(".figures .wordy:last-child")


def test_4_what_did_calibration_give(reader, act):
    member = next(m for m in reader.members() if m["escalated_from"] is not None)
    act(reader.page.select_option, "select[aria-label='Trial A']", str(member["trial"]))
    text = reader.text(".inside")
    assert "What calibration gave" in text
    assert re.search(r"(\d+ % of|[\d.]+ % of) the divergence gone", text)
    assert "moment matching" in text


def test_5_what_would_another_encoding_of_a_layer_cost(reader, act):
    number = len(reader.data["layers"]) - 1
    layer, names = reader.data["layers"][-1], [e["name"] for e in reader.data["encodings"]]
    knee = reader.trial(reader.data["knee"])
    other = next(i for i in layer["menu"] if names[i] != reader.encoding(knee, number))
    act(reader.page.click, f"[data-cell='{number}'][data-id='{other}']")
    own = ord(knee["configuration"][number]) - 48
    more = layer["bytes"][layer["menu"].index(other)] - layer["bytes"][layer["menu"].index(own)]
    text = reader.text(".what-if")
    assert f"{(knee['weight_bytes'] + more) / 1e6:.2f} MB" in text
    assert "predicted, not measured" in text


def test_6_which_layers_take_most_bytes(reader, act):
    act(reader.page.select_option, ".controls select", "bytes")
    first = int(reader.page.get_attribute("[data-layer]", "data-layer"))
    knee = reader.trial(reader.data["knee"])

    def taken(i, layer):
        return layer["bytes"][layer["menu"].index(ord(knee["configuration"][i]) - 48)]

    assert taken(first, reader.data["layers"][first]) == max(taken(*pair) for pair in enumerate(reader.data["layers"]))


def test_7_does_it_hold_on_unseen_data(reader, act):
    member = next(m for m in reader.members() if m["unseen"])
    act(reader.page.select_option, "select[aria-label='Trial A']", str(member["trial"]))
    row = reader.text("#comparison .figures tr:has(th:text-is('on unseen data'))")
    assert {"holds": "holds", "above": "above"}[member["verdict"]] in row


def test_8_where_do_two_members_differ(reader, act):
    first, second = reader.data["knee"], next(n for n in reversed(reader.apart()) if n != reader.data["knee"])
    act(reader.click, second, shift=True)
    act(reader.page.check, "text=only where A and B differ")
    pair = [reader.trial(first), reader.trial(second)]
    differing = sum(one != other for one, other in zip(*(t["configuration"] for t in pair), strict=True))
    assert reader.page.locator(".row.differs").count() == differing
    assert reader.page.locator(".row [data-layer]").count() == differing


def test_9_what_is_it_worth_against_one_encoding_for_all(reader, act):
    uniform = next(
        t for t in reader.data["trials"] if t["baseline"] and t["trial"] not in reader.data["front"] and t["divergence"]
    )
    act(reader.page.select_option, "select[aria-label='Trial B']", str(uniform["trial"]))
    assert reader.chosen() == (reader.data["knee"], uniform["trial"])
    row = reader.text("#comparison .figures tr:has(th:text-is('divergence'))")
    assert re.search(r"[×÷][\d.,]+$", row)


def test_10_was_it_worth_going_on_searching(reader, act):
    act(reader.page.click, "nav >> text=History")
    assert re.search(r"The last quarter of the time gave [\d.]+ % of what was gained", reader.text("#history"))


def test_what_an_escalation_gave_is_said_once(reader):
    said = reader.page.locator("#history li:has(> b)").all_text_contents()
    assert said == [f"{row['rung']}: {row['words']}" for row in reader.data["escalation"]] != []


def test_11_what_is_not_compressed_and_what_was_refused(reader, act):
    act(reader.page.click, "nav >> text=Checks")
    text = reader.text("#checks")
    assert "99.7 % of the model's weights can be compressed" in text
    assert "position" in text
    assert "an operand of add" in text
    assert "Refused encodings" in text


def test_12_how_do_i_take_it(reader, act):
    act(reader.page.click, "button[aria-label='Copy the command that exports']")
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("palettune export ")
    assert f"--pick {reader.data['knee']}" in copied


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("explains trial {knee}", "palettune explain EXPERIMENT.toml {knee} --root "),
        ("verifies", "palettune verify MODEL.mlpackage --against EXPERIMENT.toml"),
    ],
)
def test_other_commands_are_copied_too(reader, act, name, form):
    knee = reader.data["knee"]
    act(reader.page.click, f"button[aria-label='Copy the command that {name.format(knee=knee)}']")
    assert reader.page.evaluate("navigator.clipboard.readText()").startswith(form.format(knee=knee))


@pytest.mark.parametrize("workflow", ["data_free", "calibration"])
def test_the_command_of_what_if_gives_weights_as_a_has_them(reader, workflow):
    member = next(m for m in reader.members() if m["workflow"] == workflow)
    reader.page.select_option("select[aria-label='Trial A']", str(member["trial"]))
    other = next(i for i in reader.data["layers"][0]["menu"] if i != ord(member["configuration"][0]) - 48)
    reader.page.click(f"[data-cell='0'][data-id='{other}']")
    reader.page.click(".what-if >> text=Copy command")
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"palettune export EXPERIMENT.toml --configuration {reader.data['name']}-what-if.json")
    assert ("--calibrate" in copied) == (workflow == "calibration")


def test_can_predictions_be_trusted_here(reader, act):
    act(reader.page.click, "nav >> text=History")
    assert re.search(
        r"Half of [\d,]+ predictions made before the trial are within a factor of [\d.]+", reader.text("#history")
    )


def test_what_if_is_taken_along_as_a_configuration(reader, act, tmp_path):
    layer, knee = reader.data["layers"][0], reader.trial(reader.data["knee"])
    other = next(i for i in layer["menu"] if i != ord(knee["configuration"][0]) - 48)
    act(reader.page.click, f"[data-cell='0'][data-id='{other}']")
    act(reader.page.click, "text=Copy configuration")
    content = json.loads(reader.page.evaluate("navigator.clipboard.readText()"))
    assert list(content) == ["activations", "encodings"]
    assert content["encodings"][layer["name"]] == reader.data["encodings"][other]["name"]
    assert len(content["encodings"]) == len(reader.data["layers"])
