"""What is written beside the weights of an exported package: its name, its description, and the manifest."""
