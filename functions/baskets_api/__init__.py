"""HTTP: reads and changes the baskets of users."""
