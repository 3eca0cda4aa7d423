"""What each reader loses of a drive."""
