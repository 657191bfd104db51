"""Errors that a user can mend, and suggestions in them."""

from __future__ import annotations

from palettune.space.errors import UserError, suggestion


def test_the_nearest_word_is_suggested_and_nothing_far() -> None:
    assert suggestion("lutt4", ["int8", "lut4"]) == "; did you mean 'lut4'?"
    assert suggestion("zzz", ["int8", "lut4"]) == ""
    assert suggestion("lut4", []) == ""


def test_errors_of_users_are_value_errors() -> None:
    assert issubclass(UserError, ValueError)
