"""Deployment targets."""

from __future__ import annotations

import pytest

from palettune.space.target import DeploymentTarget, TargetError


def test_targets_are_read_in_any_case_and_suggested() -> None:
    assert DeploymentTarget.parse("macos15") is DeploymentTarget.MACOS15
    assert [target.generation for target in DeploymentTarget] == [16, 17, 18, 16, 17, 18]
    with pytest.raises(TargetError, match="did you mean 'iOS18'"):
        DeploymentTarget.parse("iOS 18")
