"""Measures the speed and the cost of the order backend: `python -m bench --help`."""
