"""Where evaluations run: worker pools, and what a worker answers."""
