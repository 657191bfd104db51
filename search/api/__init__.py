"""What the door of the package leads to: searches, their results and their exports, for Python."""
