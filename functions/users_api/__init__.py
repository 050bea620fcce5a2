"""HTTP: registers, reads, lists, changes and deletes users."""
