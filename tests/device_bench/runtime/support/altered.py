"""Copies of a module that differ in one parameter."""

import copy

import torch


def altered(module, name, change):
    """A copy of a module with one parameter changed."""
    other = copy.deepcopy(module)
    with torch.no_grad():
        change(other.get_parameter(name))
    return other
