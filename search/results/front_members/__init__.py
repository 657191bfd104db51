"""Members of a front: picked by words or a bound on a figure, and described in a sentence."""
