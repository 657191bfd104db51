"""Sensitivity: a predicted quality loss for every (layer, encoding), without a trial for it."""
