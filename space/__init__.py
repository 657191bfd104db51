"""Layers, encodings, menus, configurations and their bytes; no model is run here."""
