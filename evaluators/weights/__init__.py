"""Storage of compressed weights and model states, and models assembled from them."""
