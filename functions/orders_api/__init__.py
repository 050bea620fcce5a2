"""HTTP: places, reads, lists and cancels orders, also from a basket."""
