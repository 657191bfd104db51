"""How good a configuration is: workloads, compressed weights, sensitivity, workflows."""
