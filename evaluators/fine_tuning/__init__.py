"""The fine-tuning workflow: training of compressed weights, each in the form of its encoding."""
