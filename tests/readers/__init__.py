"""What we write, read by somebody else's readers."""
