"""The state of a record: from its file, or from the weight bank."""

from dataclasses import replace

import pytest
import torch

from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.weights.model_state import ModelState, StateError, model_digest
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import layer_weights
from palettune.search.results.member_state import member_state
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from tests.search.made_up import record

CONFIGURATION = Configuration(dict.fromkeys(("a", "b"), Encoding.parse("lut4")))
MEMBER = replace(record(4, 0.1, 5.0), configuration=CONFIGURATION)


@pytest.fixture
def known(unused, tmp_path):
    """The run folder, the weights and the model's digest."""
    folder = RunFolder(tmp_path, "case")
    return folder, layer_weights(unused, folder), model_digest(unused.workload.model)


def test_what_was_found_without_data_is_in_the_bank(known):
    folder, weights, model = known
    state = member_state(MEMBER, folder, weights, model)
    assert (state.configuration, state.model) == (CONFIGURATION, model)
    assert set(state.methods.values()) == {"data_free"}
    assert torch.equal(state.weights["a"].weight, weights.get("a", Encoding.parse("lut4")).weight)


def test_what_an_escalation_found_is_in_its_file(known):
    folder, weights, model = known
    found = replace(ModelState.data_free(CONFIGURATION, weights, model), tensors={"a.bias": torch.ones(128)})
    escalated = replace(MEMBER, workflow=Workflow("calibration"), state=found.save(folder.states).name)
    state = member_state(escalated, folder, weights, model)
    assert state.digest == found.digest
    assert torch.equal(state.tensors["a.bias"], torch.ones(128))
    (folder.states / escalated.state).write_bytes(b"")
    with pytest.raises(StateError, match="damaged"):
        member_state(escalated, folder, weights, model)


def test_an_escalation_without_a_file_is_never_taken_for_what_the_bank_holds(known):
    lost = replace(MEMBER, workflow=Workflow("calibration"))
    with pytest.raises(UserError, match=r"trial 4: its record names no state, .*calibration found.*evaluate"):
        member_state(lost, *known)
