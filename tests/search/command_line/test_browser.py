"""The user's browser, and machines without a screen."""

import webbrowser

import pytest

from palettune.search.command_line import browser
from palettune.search.command_line.browser import has_screen, open_in_browser


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "darwin", False),
    ],
)
def test_a_window_needs_a_screen(environment, platform, there):
    assert has_screen(environment, platform) is there


def test_a_page_is_opened_by_its_address_where_there_is_a_screen(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(browser, "has_screen", lambda: False)
    assert open_in_browser(tmp_path / "page.html") is False
    monkeypatch.setattr(browser, "has_screen", lambda: True)
    assert open_in_browser(tmp_path / "page.html") is True
    assert opened == [(tmp_path / "page.html").as_uri()]
