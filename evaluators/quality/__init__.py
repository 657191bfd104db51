"""Quality of a model on data: divergence, metrics, evaluations and comparisons of them."""
