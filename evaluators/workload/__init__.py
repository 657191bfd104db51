"""The user's model and data, as everything here takes them."""
