"""Weights in a conversion: found by codes, held by stand-ins, stored as their metadata says."""
