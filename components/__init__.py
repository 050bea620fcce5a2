"""The building blocks of the infrastructure: one file, one capability."""
