"""HTTP: places, reads, lists and cancels orders."""
