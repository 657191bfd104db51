"""Output for people: console, tables, pictures."""
