"""Quality of a configuration: workloads, compressed weights, sensitivity scores and workflows."""
