"""A request becomes a tree of files, in a layout that readers know."""
