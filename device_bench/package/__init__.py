"""What is in a saved ``.mlpackage``: weights as stored, the graph, constants."""
