"""Evaluating promising configurations again under calibration or fine-tuning."""
