"""Name, description and manifest of exported packages."""
