"""Compression of one weight by coremltools' algorithms: tables, integers and sparsity."""
