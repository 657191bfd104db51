"""Compression of one weight, by coremltools' own algorithms."""
