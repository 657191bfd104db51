"""Conversion of a torch module to a Core ML package."""
