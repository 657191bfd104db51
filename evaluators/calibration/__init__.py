"""Calibration: weights, biases, normalizations and activation ranges found on unlabelled data, without training."""
