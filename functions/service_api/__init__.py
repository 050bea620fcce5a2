"""HTTP: health, and the contract of the API."""
