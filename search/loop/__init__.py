"""The search loop: ask, evaluate, tell, escalate."""
