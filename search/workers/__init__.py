"""Worker pools, and the requests that workers answer."""
