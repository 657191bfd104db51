"""A Core ML program as a torch module, and that module as a package again."""
