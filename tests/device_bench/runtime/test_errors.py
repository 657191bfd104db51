"""What a user can mend is told apart from a fault of the runtime."""

import pytest

from palettune.device_bench.runtime.errors import ExecutionError, ProgramError, UnsupportedOpError
from palettune.space.errors import UserError


@pytest.mark.parametrize("error", [ProgramError, UnsupportedOpError])
def test_packages_that_cannot_run_are_the_users(error):
    assert issubclass(error, UserError)


def test_a_failing_kernel_is_not():
    assert not issubclass(ExecutionError, UserError)
