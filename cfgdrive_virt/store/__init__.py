"""The bytes of a drive go where they belong, all or nothing."""
