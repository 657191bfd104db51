"""Core ML programs as torch modules, and such modules as packages again."""
