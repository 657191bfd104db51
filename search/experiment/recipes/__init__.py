"""Recipes: what a team ships today, in a form of its own, as configurations to compare with."""
