"""HTTP: the health of the service, and the contract of the API."""
