"""Search for the drive that costs a hook most: CPU time and memory.

    python contrib/fuzz/worst --seconds 300

A drive is what a guest may write on its disk: up to 64 MiB in either format,
with or without a forged stamp.  Families of such drives have parameters; the
search measures each family once, then changes the parameters of the worst
drives as long as the time lasts.  Every hook runs in a process of its own: its
CPU seconds, and by how much its peak memory exceeds that of a process that
has read the same drive's bytes.

The images are built here: the library's writers refuse most of them.
"""
