"""Contract suites: tests that any implementation of one of Palettune's seams has to pass.

Each suite is a class for pytest (``pip install pytest``) that brings its own small models and data. Subclass it in a
test module, override the fixture that its docstring names, and run pytest::

    from palettune.testing.sensitivity_contract import SensitivityContract

    class TestMyScore(SensitivityContract):
        @pytest.fixture
        def score_class(self):
            return MyScore

| suite | of |
|---|---|
| ``workflow_contract.WorkflowContract`` | ``evaluators.workflow.evaluator.WorkflowEvaluator`` |
| ``sensitivity_contract.SensitivityContract`` | ``evaluators.sensitivity.base.SensitivityScore`` |
| ``layer_method_contract.LayerMethodContract`` | ``evaluators.calibration.layer_method.LayerMethod`` |
| ``evaluations_contract.WorkersContract`` | ``search.workers.evaluations.Evaluations`` of workers that hold a model |
| ``evaluations_contract.EvaluationsContract`` | the same without a model, such as a record of earlier results |

No other module of Palettune imports this package or pytest.
"""

import pytest

_SUITES = ("workflow_contract", "sensitivity_contract", "layer_method_contract", "evaluations_contract")
pytest.register_assert_rewrite(*(f"{__name__}.{suite}" for suite in _SUITES))
