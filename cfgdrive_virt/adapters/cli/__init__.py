"""The command line, and what only it needs: the instance file, the views."""
