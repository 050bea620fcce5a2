"""HTTP: a user's spending."""
