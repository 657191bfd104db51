"""A run as a notebook shows it."""

import base64
import re

from palettune.search.display.run_page import front_image, run_html
from palettune.search.results.front import Front
from tests.search.made_up import OBJECTIVES, front


def test_the_picture_is_in_the_page_and_the_name_is_no_markup():
    members = front()
    shown = front_image("tiny <b>", list(members), members)
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert 'alt="front of tiny &lt;b&gt;"' in shown


def test_a_page_has_the_picture_and_a_row_for_each_member():
    members = front()
    page = run_html("tiny", [*members, *members], members)
    assert page.startswith("<p>tiny: 10 evaluations</p><img ")
    assert page.count("<tr") == 2 + len(members)  # two of the header


def test_while_nothing_is_on_the_front_there_is_no_picture():
    empty = Front((), OBJECTIVES)
    assert front_image("tiny", [], empty) == ""
    assert "<img" not in run_html("tiny", [], empty)
