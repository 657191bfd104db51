"""Which configuration to evaluate next: samplers, the surrogate, the exact solver."""
