"""The command line, and all that no other package needs."""
