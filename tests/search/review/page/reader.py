"""Someone who reads a review page: what they see and do, in a few words each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


class Reader:
    """A page in a browser, and its data.

    Attributes:
        complaints: errors of the page and of its console.
    """

    def __init__(self, page: Any, data: dict[str, Any], path: Path) -> None:
        self.page, self.data, self.path = page, data, path
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("requestfailed", lambda asked: self.complaints.append(f"asked for {asked.url}"))

    def open(self, fragment: str = "") -> None:
        self.page.goto(f"{self.path.as_uri()}#{fragment}")
        self.page.wait_for_selector("main")

    def begin(self) -> None:
        """The state of a page without a fragment, as pasting such an address does it."""
        self.page.evaluate(
            "import('state').then((state) => (state.reset(), (state.choosingSecond.value = state.wordsShown.value = false), (state.hovered.value = null)))"
        )
        self.page.evaluate("scrollTo(0, 0)")
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 10)))")

    def text(self, selector: str) -> str:
        return re.sub(r"\s+", " ", self.page.inner_text(selector))

    def do(self, script: str, value: Any = None) -> Any:
        """Run JavaScript; ``palettune`` modules by their names: ``do("(await import('state')).first.value")``."""
        return self.page.evaluate(f"async (value) => {{ return {script} }}", value)

    def trial(self, number: int) -> dict[str, Any]:
        return next(row for row in self.data["trials"] if row["trial"] == number)

    def members(self) -> list[dict[str, Any]]:
        return [self.trial(number) for number in self.data["front"]]

    def at(self, number: int) -> tuple[float, float]:
        """Where a trial's point is on the screen."""
        script = """(([axes, run, data]) => {
            const { atX, atY, x, y } = axes.geometry.value;
            const box = document.querySelector('.chart').getBoundingClientRect();
            const trial = data.run.byTrial.get(value);
            return [box.left + atX(data.figure(trial, x)), box.top + atY(data.figure(trial, y))];
        })(await Promise.all([import('axes'), import('state'), import('data')]))"""
        left, top = self.do(script, number)
        return left, top

    def click(self, number: int, *, shift: bool = False) -> None:
        """Click a trial's point."""
        self.page.locator(".chart").scroll_into_view_if_needed()
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(*self.at(number))
        if shift:
            self.page.keyboard.up("Shift")
        self.settle()

    def chosen(self) -> tuple[int | None, int | None]:
        """A and B."""
        state = self.do(
            "((state) => [state.a.value?.trial ?? null, state.b.value?.trial ?? null])(await import('state'))"
        )
        return state[0], state[1]

    def fragment(self) -> str:
        """What the address says, once it is written."""
        # Playwright's `wait_for_function` awaits no promise, and an import is one.
        return str(
            self.do("""await (async ({ fragment }) => {
                while (location.hash.slice(1) !== fragment()) await new Promise((done) => setTimeout(done, 10));
                return location.hash.slice(1);
            })(await import('fragment'))""")
        )

    def apart(self) -> list[int]:
        """Members whose points no other shown point lies near, smallest first: those that a click surely means."""
        script = """(([axes, data]) => {
            const { atX, atY, x, y, shown } = axes.geometry.value;
            const place = (t) => [atX(data.figure(t, x)), atY(data.figure(t, y))];
            const far = (one, other) => one === other || Math.hypot(place(one)[0] - place(other)[0], place(one)[1] - place(other)[1]) > 8;
            return data.run.members.filter((t) => shown.includes(t) && shown.every((other) => far(t, other))).map((t) => t.trial);
        })(await Promise.all([import('axes'), import('data')]))"""
        return list(self.do(script))

    def layer(self, name: str) -> dict[str, Any]:
        return next(layer for layer in self.data["layers"] if layer["name"] == name)

    def encoding(self, trial: dict[str, Any], layer: int) -> str:
        """The encoding that a trial gives a layer."""
        return str(self.data["encodings"][ord(trial["configuration"][layer]) - 48]["name"])
