"""The bytes of a drive go to their location, all or nothing."""
