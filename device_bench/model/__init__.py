"""Layers, outputs and recurrent state of torch models."""
