"""What a configuration costs on a device, and what is really in a package."""
