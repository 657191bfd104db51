"""The experiment file, its objectives, rungs and recipes, and the folder of a run."""
