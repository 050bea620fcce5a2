"""HTTP: the fulfillment system reports parcels and refusals; clients announce returns."""
