"""Computed weights: what forward passes compute from parameters alone, folded once into parameters."""
