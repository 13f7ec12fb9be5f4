"""A device in a few lines, for trying things out."""
