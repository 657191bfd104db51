"""What can be chosen: layers, encodings, menus and bytes. Pure."""
