"""Every registered workflow passes the contract; a new line in the registry is tested here without a new test."""

import pytest

from palettune.evaluators.adapters.setting import AdapterSetting
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.registry import registered_workflows
from palettune.testing.workflow_contract import WorkflowContract

SHORT = {
    "fine_tuning": {"tuning": FineTuningSetting(vector_steps=4, steps=6)},
    "adapters": {
        "adapters": AdapterSetting(
            rank=1, tuning=FineTuningSetting(vector_steps=0, steps=6, rate=0.01, table_rate=0.03)
        )
    },
}


#: The dearest; `make test-all` runs all.
SLOW = {"adapters": pytest.mark.slow, "calibration": pytest.mark.slow}


class TestWorkflows(WorkflowContract):
    @pytest.fixture(
        params=[pytest.param(w, id=name, marks=SLOW.get(name, ())) for name, w in registered_workflows().items()]
    )
    def workflow(self, request):
        return request.param

    def make(self, workflow, setting):
        return workflow(setting, **SHORT.get(workflow.name, {}))


def test_registry_is_by_name_and_begins_with_data_free():
    assert all(name == workflow.name for name, workflow in registered_workflows().items())
    assert next(iter(registered_workflows())) == "data_free"
