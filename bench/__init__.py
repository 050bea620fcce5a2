"""Measures how fast and how cheap the order backend is: `python -m bench --help`."""
