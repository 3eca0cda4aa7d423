"""A tree becomes the bytes of a file system, and back."""
