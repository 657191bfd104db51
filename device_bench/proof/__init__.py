"""Proof that a saved package holds what was asked for."""
