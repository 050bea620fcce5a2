"""The components of the infrastructure: one capability per file."""
