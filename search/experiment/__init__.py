"""What is searched and where it lives: the experiment file, its objectives, the run folder."""
