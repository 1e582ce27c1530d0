"""Whole nets made after public bug reports, by kind, each with its right behaviour."""
