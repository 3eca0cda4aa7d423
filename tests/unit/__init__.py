"""The library by itself: module by module, on real files and processes."""
