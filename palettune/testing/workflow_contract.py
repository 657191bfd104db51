"""Contract suite for workflows: what every ``WorkflowEvaluator`` has to do, on small networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Evaluation, Failure
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.model_state import ModelState, StateError, model_digest
from palettune.evaluators.workflow.evaluator import WorkflowError, WorkflowEvaluator, WorkflowResult, WorkflowSetting
from palettune.evaluators.workflow.requirement import Requirement
from palettune.evaluators.workload.workload import Split
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget
from palettune.testing.workloads import NETWORKS, parse_configuration, setting_of

__all__ = ["WorkflowContract"]


class WorkflowContract:
    """Tests of one workflow, or of several by a parametrised fixture.

    Override the fixture ``workflow``, which returns the class. Override ``make`` where the workflow should be
    constructed with shorter settings than its defaults; the suite evaluates about ten configurations of networks with
    a few thousand weights.
    """

    @pytest.fixture
    def workflow(self) -> type[WorkflowEvaluator]:
        """Return the class under test."""
        raise NotImplementedError("override the fixture `workflow`: return the WorkflowEvaluator subclass to test")

    def make(self, workflow: type[WorkflowEvaluator], setting: WorkflowSetting) -> WorkflowEvaluator:
        """Construct the workflow."""
        return workflow(setting)

    def result(
        self,
        workflow: type[WorkflowEvaluator],
        setting: WorkflowSetting,
        spelling: str = "lut3",
        start: WorkflowResult | None = None,
        **others: str,
    ) -> WorkflowResult:
        """Evaluate ``spelling`` in every layer but ``others``; a failure fails the test."""
        found = self.make(workflow, setting).evaluate(parse_configuration(setting, spelling, **others), start)
        assert isinstance(found, WorkflowResult), str(found)
        return found

    @pytest.mark.parametrize("network", NETWORKS)
    def test_the_evaluation_is_that_of_the_state(
        self, workflow: type[WorkflowEvaluator], network: str, tmp_path: Path
    ) -> None:
        """Measure the returned state again and compare; check that the float model is unchanged."""
        setting = setting_of(tmp_path, network)
        before = model_digest(setting.workload.model)
        found = self.result(workflow, setting)
        assert model_digest(setting.workload.model) == before
        assert isinstance(found.evaluation, Evaluation)
        assert found.evaluation.workflow == workflow.workflow
        assert found.evaluation.configuration_hash == found.state.configuration.hash
        quality = Quality(setting.workload, setting.kind, Split.EVALUATION)
        module = found.state.apply(setting.workload.model)
        again = quality.measure(module, found.state.configuration.hash, workflow.workflow)
        assert isinstance(again, Evaluation)
        assert np.allclose(again.by_sample, found.evaluation.by_sample, rtol=1e-3, atol=1e-6)
        assert len(again.by_sample) == 16

    def test_the_state_is_read_back_exactly(self, workflow: type[WorkflowEvaluator], tmp_path: Path) -> None:
        """Compare a saved state with the loaded one; check that a damaged file is refused."""
        setting = setting_of(tmp_path)
        state = self.result(workflow, setting, classes="int8", project="sparse50+lut4").state
        path = state.save(tmp_path / "states")
        assert path.stem == state.digest
        read = ModelState.load(path)
        assert read.digest == state.digest
        ours, theirs = (s.apply(setting.workload.model).state_dict() for s in (state, read))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in ours)
        assert (dict(read.methods), read.activations) == (dict(state.methods), dict(state.activations))
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(StateError, match="damaged"):
            ModelState.load(path)

    def test_every_weight_fits_its_encoding_and_its_method_is_named(
        self, workflow: type[WorkflowEvaluator], tmp_path: Path
    ) -> None:
        """Check that weights are fp16 numbers, with no more values and as many zeros as their encoding allows."""
        setting = setting_of(tmp_path)
        found = self.result(workflow, setting, "lut2", classes="sparse75", project="int4")
        for name, encoding in found.state.configuration.encodings.items():
            weight = found.state.weights[name].weight
            assert found.state.methods[name]
            assert torch.equal(weight, weight.half().float())
            if encoding == Encoding.parse("lut2"):
                assert len(set(weight.flatten().tolist())) <= 4
            if encoding == Encoding.parse("sparse75"):
                assert int(weight.count_nonzero()) == weight.numel() // 4

    def test_equal_settings_give_equal_states(self, workflow: type[WorkflowEvaluator], tmp_path: Path) -> None:
        """Check that two runs with the same workload, configuration and seed return the same state."""
        states = [self.result(workflow, setting_of(tmp_path / str(i))).state for i in range(2)]
        assert states[0].digest == states[1].digest

    def test_a_package_of_the_state_is_proven_and_runs(self, workflow: type[WorkflowEvaluator], tmp_path: Path) -> None:
        """Convert the state to a package; check that it holds the configuration and gives the model's outputs."""
        setting = setting_of(tmp_path)
        state = self.result(workflow, setting, classes="int8", project="lut4").state
        module = state.apply(setting.workload.model)
        target = DeploymentTarget.IOS18
        inputs = setting.workload.example_inputs
        path = tmp_path / "model.mlpackage"
        convert(module, inputs, target).save(str(path))
        layers = tuple(setting.weights.layers.values())
        assert not prove(path, module, inputs, state.configuration, layers, target).failures
        assert compare(path, as_stored(module), [inputs]).passed

    def test_it_continues_only_from_a_result_of_the_same_encodings(
        self, workflow: type[WorkflowEvaluator], tmp_path: Path
    ) -> None:
        """Check that it starts from a data-free result of the same encodings, and refuses one of others."""
        setting = setting_of(tmp_path)
        first = _data_free(setting)
        assert self.result(workflow, setting, start=first).state.configuration == first.state.configuration
        with pytest.raises(WorkflowError, match="cannot start"):
            self.make(workflow, setting).evaluate(parse_configuration(setting, "lut4"), first)

    def test_a_model_that_fails_once_compressed_is_a_failure(
        self, workflow: type[WorkflowEvaluator], tmp_path: Path
    ) -> None:
        """Check that an exception in the compressed model's forward pass gives a ``Failure`` with its reason."""
        broken = NETWORKS["convolutions"].replace(
            "return self.classes(",
            "if self.classes.weight.detach().unique().numel() <= 2: raise RuntimeError('too few')\n"
            "        return self.classes(",
        )
        setting = setting_of(tmp_path, broken)
        found = self.make(workflow, setting).evaluate(parse_configuration(setting, "lut8", classes="lut1"))
        assert isinstance(found, Failure)
        assert "too few" in found.reason

    def test_what_the_workload_lacks_is_named(self, workflow: type[WorkflowEvaluator], tmp_path: Path) -> None:
        """Check that ``missing`` and the constructor name each required function that is absent."""
        setting = setting_of(tmp_path / "all")
        assert workflow.missing(setting.workload) is None
        for need in workflow.requirements - {Requirement.GRADIENTS}:
            lacking = setting_of(tmp_path / need.value, without=[need.value])
            assert f"{need.value}()" in str(workflow.missing(lacking.workload))
            with pytest.raises(WorkflowError, match=need.value):
                self.make(workflow, lacking)


def _data_free(setting: WorkflowSetting) -> WorkflowResult:
    found = DataFreeEvaluator(setting).evaluate(parse_configuration(setting, "lut3"))
    assert isinstance(found, WorkflowResult), str(found)
    return found
