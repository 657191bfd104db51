"""Packages, what is in them, and what they cost on a device."""
