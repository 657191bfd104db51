"""The user's model, data and metrics: loading, checks, sampling and forward passes."""
