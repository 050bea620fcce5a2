"""Generators that run when the project is built, never in Lambda."""
