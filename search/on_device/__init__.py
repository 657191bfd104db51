"""Latency: predicted, or measured by a Mac that joined the cluster."""
