"""Proposals of the next configuration: samplers, the surrogate, the exact solver."""
