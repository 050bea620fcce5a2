"""Implementations of the external systems that this project calls."""
