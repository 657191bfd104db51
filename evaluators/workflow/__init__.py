"""The contract of a workflow: what it requires of a workload, what it is given, what it returns."""
