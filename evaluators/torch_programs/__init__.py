"""TorchScript and exported programs as modules: plain parameters by their dotted names, and a forward pass step by step."""
