"""Frozen values, checked once when they are made."""
