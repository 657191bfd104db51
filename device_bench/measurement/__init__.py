"""Latency measured on a Mac or an attached device."""
