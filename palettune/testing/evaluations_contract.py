"""Contract suite for evaluations: what every ``Evaluations`` has to do, wherever the work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.search.workers.evaluations import Evaluations, Pending, Request, WorkerError
from palettune.search.workers.requests import Describe, Evaluate
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from palettune.testing.workloads import write_workload

__all__ = ["EvaluationsContract", "Raising", "Where", "WorkersContract", "small_settings"]

MENU = tuple(Encoding.parse(spelling) for spelling in ("fp16", "lut8", "lut4", "int8"))
NETWORK = """
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))

def example(generator, batch):
    return (torch.randn(batch, 8, generator=generator),)
"""


@dataclass(frozen=True)
class Raising(Request[int]):
    """Request that raises a user's mistake, or an exception as of a bug."""

    mendable: bool = False

    def run(self, worker: Worker) -> int:
        """Raise the error."""
        raise UserError("mend this") if self.mendable else ZeroDivisionError("no luck")


@dataclass(frozen=True)
class Where(Request[int]):
    """Request for the number of the process that answers."""

    def run(self, worker: Worker) -> int:
        """Ask the system."""
        return os.getpid()


def small_settings(folder: Path) -> WorkerSettings:
    """Return the settings of workers for a network of two layers; its weights are compressed in ``folder``."""
    workload = write_workload(folder, NETWORK)
    layers, bank = layers_of(workload.model), WeightBank(folder / "bank")
    weights = LayerWeights(workload.model, layers, bank)
    for layer in layers:
        for encoding in MENU:
            bank.put(weights.key(layer.name, encoding), weights.build(layer.name, encoding))
    return WorkerSettings(
        workload=folder / "workload.py",
        layers=layers,
        kind=DivergenceKind.KL,
        seed=0,
        bank=folder / "bank",
        other_banks=(),
        threads=1,
        states=folder / "states",
    )


class EvaluationsContract:
    """Tests of what can be asked of any evaluations, also of a record: override the fixture ``evaluations``.

    Override ``configurations`` where those of two layers ``a`` and ``b`` cannot be evaluated.
    """

    @pytest.fixture
    def evaluations(self) -> Evaluations:
        """Return what is tested, ready to be asked."""
        raise NotImplementedError("override the fixture `evaluations`: return the Evaluations to test")

    @pytest.fixture
    def configurations(self) -> list[Configuration]:
        """Return at least three configurations that can be evaluated."""
        return [Configuration({"a": encoding, "b": MENU[0]}) for encoding in MENU]

    def answered(self, evaluations: Evaluations, pending: Sequence[Pending[Any]]) -> None:
        """Wait for all of them; too long a wait fails the test."""
        for _ in range(1000):
            if all(one.answer is not None for one in pending):
                return
            evaluations.wait(timeout=1.0)
        raise AssertionError("no answer came")

    def test_each_request_gets_its_own_answer(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        """Check that nothing is answered before ``wait``, and that the count of unanswered requests falls to 0."""
        pending = [evaluations.submit(Evaluate(configuration)) for configuration in configurations]
        assert evaluations.unanswered == len(configurations)
        assert all(one.answer is None for one in pending)
        self.answered(evaluations, pending)
        assert evaluations.unanswered == 0
        for one, configuration in zip(pending, configurations, strict=True):
            assert one.answer is not None
            assert isinstance(one.answer.result, Evaluation)
            assert one.answer.result.configuration_hash == configuration.hash
            began, ended = one.answer.span
            assert began <= ended

    def test_the_same_configuration_gives_the_same_evaluation(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        """Compare divergence, its samples and the metrics of two evaluations."""
        one, again = (evaluations.result(Evaluate(configurations[0])) for _ in range(2))
        assert isinstance(one, Evaluation)
        assert isinstance(again, Evaluation)
        assert (one.divergence, one.by_sample, one.metrics) == (again.divergence, again.by_sample, again.metrics)

    def test_answers_to_many_requests_come_each_with_its_place(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        """Check that each place comes once, with the answer to the request that stands there."""
        requests = [Evaluate(configuration) for configuration in configurations]
        found = list(evaluations.completed(requests))
        assert sorted(index for index, _ in found) == list(range(len(requests)))
        for index, answer in found:
            assert isinstance(answer.result, Evaluation)
            assert answer.result.configuration_hash == configurations[index].hash

    def test_waiting_for_nothing_ends_at_once(self, evaluations: Evaluations) -> None:
        """Wait without a timeout, too."""
        evaluations.wait()
        assert evaluations.unanswered == 0

    def test_what_is_dropped_is_never_answered(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        """Check that ``stop`` drops what is queued and what is under way."""
        pending = [evaluations.submit(Evaluate(configuration)) for configuration in configurations]
        evaluations.stop()
        assert evaluations.unanswered == 0
        evaluations.wait(timeout=0.1)
        assert all(one.answer is None for one in pending)

    def test_there_is_somebody_to_do_the_work(self, evaluations: Evaluations) -> None:
        """Check that there is at least one worker."""
        assert evaluations.size >= 1


class WorkersContract(EvaluationsContract):
    """Tests of evaluations whose workers hold a model: ``evaluations`` takes ``settings``."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> WorkerSettings:
        """Return the settings of a small network's workers."""
        return small_settings(tmp_path)

    @pytest.fixture
    def configurations(self, settings: WorkerSettings) -> list[Configuration]:
        """Return the network in one encoding after another."""
        return [Configuration({layer.name: encoding for layer in settings.layers}) for encoding in MENU]

    def test_a_request_that_raises_fails_and_the_next_one_is_answered(
        self, evaluations: Evaluations, configurations: list[Configuration]
    ) -> None:
        """Check that a bug is a failure at the stage ``raised``, and that its result raises a ``WorkerError``."""
        pending: list[Pending[Any]] = [evaluations.submit(Raising()), evaluations.submit(Evaluate(configurations[0]))]
        self.answered(evaluations, pending)
        failed, good = (one.answer for one in pending)
        assert failed is not None
        assert good is not None
        assert isinstance(failed.result, Failure)
        assert failed.result.stage is Stage.RAISED
        assert "ZeroDivisionError: no luck" in failed.result.reason
        assert isinstance(good.result, Evaluation)
        with pytest.raises(WorkerError, match="no luck"):
            evaluations.result(Raising())

    def test_what_the_user_can_mend_is_raised(self, evaluations: Evaluations) -> None:
        """Check that a worker's ``UserError`` comes out of ``wait`` as it is."""
        with pytest.raises(UserError, match=r"^mend this$"):
            evaluations.result(Raising(mendable=True))

    def test_the_float_model_is_described(self, evaluations: Evaluations) -> None:
        """Ask a worker that has not evaluated anything for the facts of the float model."""
        facts = evaluations.result(Describe())
        assert facts.chance > 0
        assert len(facts.energy) == 1
