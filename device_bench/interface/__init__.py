"""Interfaces of packages: inputs, outputs and labels as a user declares them for a torch model."""
