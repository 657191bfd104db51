"""Compressed weights on disk, and models assembled from them."""
