"""Palettune finds how to compress each layer of a model for Core ML, and proves what it exports."""

__version__ = "0.1.0"
