"""HTTP: create, read, list, change and delete products."""
