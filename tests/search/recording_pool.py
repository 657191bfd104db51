"""The pool that answers in this process, and remembers what it was asked."""

from palettune.search.loop.session import worker_settings
from palettune.search.workers.inline_pool import InlinePool


class RecordingPool(InlinePool):
    """``calls`` holds every call's method and arguments."""

    def __init__(self, preparation, folder):
        needs = preparation.experiment.needs
        super().__init__(worker_settings(preparation, folder, needs), needs)
        self.calls = []
        self.start()

    def submit(self, key, method, *arguments, deliver=None):
        """Queue one call, and remember it."""
        self.calls.append((method, arguments))
        super().submit(key, method, *arguments, deliver=deliver)
