"""HTTP: place, read, list and cancel orders."""
