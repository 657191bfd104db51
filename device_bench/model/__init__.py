"""What a torch model returns, and what it keeps between inputs."""
