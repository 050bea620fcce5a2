"""Separate projects that build on this one."""
