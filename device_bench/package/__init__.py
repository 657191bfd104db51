"""Contents of a saved ``.mlpackage``: weights as stored, graph, constants."""
