"""Every registered workflow through the contract."""

from tests.evaluators.workflow_contract import (  # noqa: F401
    WorkflowContract,
    test_registry_is_by_name_and_begins_with_data_free,
)


class TestWorkflows(WorkflowContract):
    """Collected here."""
