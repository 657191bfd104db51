"""The study: Optuna's storage as the truth about every trial and escalation."""
