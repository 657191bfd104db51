"""The rungs: each workflow that evaluations can be escalated to, a file each, and their registry."""
