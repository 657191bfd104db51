"""Sensitivity scores: the predicted divergence of every (layer, encoding), without running a trial."""
