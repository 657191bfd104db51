"""How good a model is on data: divergence, metrics, evaluations."""
