"""The adapter workflow: low-rank branches trained beside a frozen compressed model, merged or stored separately."""
