"""HTTP: creates, reads, lists, changes and deletes products."""
