"""HTTP: register, read, list, change and delete users."""
