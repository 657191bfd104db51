"""A pool of workers that answers in this process, for tests of what stands on its answers."""

from palettune.evaluators.divergence_kind import DivergenceKind
from palettune.search.resident import Resident
from palettune.search.workers import Finished, WorkerSettings


class InlinePool:
    """What groundwork asks of a pool; ``calls`` holds every call's method and arguments."""

    def __init__(self, preparation, folder, size=2):
        self.size, self.calls = size, []
        experiment = preparation.experiment
        layers = tuple(layer.name for layer in preparation.layers)
        kind = DivergenceKind(preparation.kind)
        self._resident = Resident(
            WorkerSettings(experiment.workload, layers, kind, experiment.seed, folder.bank, (), threads=1)
        )

    def map(self, method, items):
        """Answers, in order."""
        for key, arguments in items:
            self.calls.append((method, arguments))
            yield Finished(key, getattr(self._resident, method)(*arguments), (0.0, 0.0))
