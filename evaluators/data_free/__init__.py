"""The data-free workflow: each layer's weight compressed by itself, without calibration or training data."""
