"""Evaluations in this process that remember what they were asked."""

from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.worker_settings import worker_settings


class RecordingEvaluations(InlineEvaluations):
    """``requests`` holds every request."""

    def __init__(self, preparation, folder):
        super().__init__(worker_settings(preparation, folder, preparation.experiment.needs))
        self.preparation = preparation
        self.requests = []

    def submit(self, request):
        """Queue one request, and remember it."""
        self.requests.append(request)
        return super().submit(request)
