"""Python interface: searches, their results and their exports, behind the package's public names."""
