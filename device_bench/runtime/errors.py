"""Errors of loading and running a program."""

from __future__ import annotations

from palettune.space.errors import UserError

__all__ = ["ExecutionError", "ProgramError", "UnsupportedOpError"]


class ProgramError(UserError):
    """A package that cannot be loaded, or inputs that a program does not take; the message says what was expected."""


class UnsupportedOpError(ProgramError):
    """An op without a kernel; the message names the op, its type and its place."""


class ExecutionError(RuntimeError):
    """A kernel that failed on values that its op accepts; the message names the op and its place."""
