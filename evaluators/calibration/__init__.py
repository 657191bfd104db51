"""The calibration workflow: weights, biases, normalizations and activation ranges from unlabelled data, without training."""
