"""Fine-tuning: the weights of a configuration found by training, in the form that its encodings ask for."""
