"""The contract that every workflow keeps: one suite for all of them. A new workflow is in it by being registered.

``OPTIONS`` shortens a workflow for these tests; what is asserted is the same for all.
"""

import numpy as np
import pytest
import torch

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.evaluators.adapters.setting import AdapterSetting
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.quality.evaluation import Evaluation, Failure
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.model_state import ModelState, StateError, model_digest
from palettune.evaluators.workflow.evaluator import Requirement, WorkflowError, WorkflowResult
from palettune.evaluators.workflows import allowed, refused
from palettune.evaluators.workload.workload import Split
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget
from tests.evaluators.workflow_cases import NETWORKS, configuration_of, setting_of

OPTIONS: dict[str, dict] = {
    "fine_tuning": {"tuning": FineTuningSetting(vector_steps=4, steps=6)},
    "adapters": {
        "adapters": AdapterSetting(
            rank=1, tuning=FineTuningSetting(vector_steps=0, steps=6, rate=0.01, table_rate=0.03)
        )
    },
}

WORKFLOWS = list(registered_workflows().values())
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=[w.name for w in WORKFLOWS])


def make(workflow, setting):
    return workflow(setting, **OPTIONS.get(workflow.name, {}))


def outcome(workflow, setting, spelling="lut3", start=None, **others) -> WorkflowResult:
    found = make(workflow, setting).evaluate(configuration_of(setting, spelling, **others), start)
    assert isinstance(found, WorkflowResult), str(found)
    return found


class WorkflowContract:
    @every_workflow
    @pytest.mark.parametrize("network", NETWORKS)
    def test_the_evaluation_is_that_of_the_state(self, workflow, network, tmp_path):
        setting = setting_of(tmp_path, network)
        before = model_digest(setting.workload.model)
        found = outcome(workflow, setting)
        assert isinstance(found.evaluation, Evaluation)
        assert found.evaluation.workflow is workflow.workflow
        assert found.evaluation.configuration_hash == found.state.configuration.hash
        quality = Quality(setting.workload, setting.kind, Split.EVALUATION)
        module = found.state.apply(setting.workload.model)
        again = quality.measure(module, found.state.configuration.hash, workflow.workflow)
        assert np.allclose(again.by_sample, found.evaluation.by_sample, rtol=1e-3, atol=1e-6)
        assert len(again.by_sample) == 16
        assert model_digest(setting.workload.model) == before

    @every_workflow
    def test_the_state_comes_back_exactly_from_its_file(self, workflow, tmp_path):
        setting = setting_of(tmp_path)
        state = outcome(workflow, setting, classes="int8", project="sparse50+lut4").state
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

    @every_workflow
    def test_every_weight_is_legal_and_its_method_named(self, workflow, tmp_path):
        setting = setting_of(tmp_path)
        found = outcome(workflow, setting, "lut2", classes="sparse75", project="int4")
        for name, encoding in found.state.configuration.encodings.items():
            weight = found.state.weights[name].weight
            assert found.state.methods[name]
            assert torch.equal(weight, weight.half().float())
            if encoding == Encoding.parse("lut2"):
                assert weight.unique().numel() <= 4
            if encoding == Encoding.parse("sparse75"):
                assert int(weight.count_nonzero()) == weight.numel() // 4

    @every_workflow
    def test_equal_settings_give_equal_states(self, workflow, tmp_path):
        states = [outcome(workflow, setting_of(tmp_path / str(i))).state for i in range(2)]
        assert states[0].digest == states[1].digest

    @every_workflow
    def test_a_package_of_the_state_is_proven_and_runs(self, workflow, tmp_path):
        setting = setting_of(tmp_path)
        state = outcome(workflow, setting, classes="int8", project="lut4").state
        module = state.apply(setting.workload.model)
        target = DeploymentTarget.IOS18
        inputs = setting.workload.example_inputs
        path = tmp_path / "model.mlpackage"
        convert(module, inputs, target).save(str(path))
        layers = tuple(setting.weights.layers.values())
        assert not prove(path, module, inputs, state.configuration, layers, target).failures
        assert compare(path, as_stored(module), [inputs]).passed

    @every_workflow
    def test_it_goes_on_from_another_outcome_of_the_same_encodings_only(self, workflow, tmp_path):
        setting = setting_of(tmp_path)
        first = outcome(registered_workflows()["data_free"], setting)
        assert outcome(workflow, setting, start=first).state.configuration == first.state.configuration
        with pytest.raises(WorkflowError, match="cannot start"):
            make(workflow, setting).evaluate(configuration_of(setting, "lut4"), first)

    @every_workflow
    def test_a_model_that_fails_once_compressed_is_a_failure_with_a_stage(self, workflow, tmp_path):
        broken = NETWORKS["convolutions"].replace(
            "return self.classes(",
            "if self.classes.weight.detach().unique().numel() <= 2: raise RuntimeError('too few')\n"
            "        return self.classes(",
        )
        setting = setting_of(tmp_path, broken)
        found = make(workflow, setting).evaluate(configuration_of(setting, "lut8", classes="lut1"))
        assert isinstance(found, Failure)
        assert "too few" in found.reason

    @every_workflow
    def test_what_the_workload_lacks_is_said(self, workflow, tmp_path):
        setting = setting_of(tmp_path / "all")
        assert workflow.missing(setting.workload) is None
        assert workflow in allowed(setting.workload)
        for need in workflow.requirements - {Requirement.GRADIENTS}:
            lacking = setting_of(tmp_path / need.value, without=[need.value])
            assert f"{need.value}()" in workflow.missing(lacking.workload)
            assert workflow not in allowed(lacking.workload)
            assert workflow.name in refused(lacking.workload)
            with pytest.raises(WorkflowError, match=need.value):
                make(workflow, lacking)


def test_registry_is_by_name_and_begins_with_data_free():
    assert all(name == workflow.name for name, workflow in registered_workflows().items())
    assert next(iter(registered_workflows())) == "data_free"
