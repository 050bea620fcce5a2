"""The other ends of this project's contracts, each a program of its own."""
