"""Latency measured on a Mac or on an attached device."""
