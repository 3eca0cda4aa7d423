"""Tests of contrib/fuzz."""
