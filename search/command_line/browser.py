"""The user's browser, where there is a screen to show it on."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

__all__ = ["has_screen", "open_in_browser"]


def has_screen(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Return whether a window can be opened; over SSH a text browser would take the terminal."""
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environment
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def open_in_browser(page: Path) -> bool:
    """Open a file in the user's browser; whether there was one."""
    return has_screen() and webbrowser.open(page.resolve().as_uri())
