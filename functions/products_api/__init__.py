"""HTTP: creates, reads, lists, changes and deletes products, and quotes their prices."""
