"""Workflow task: move an order to its next state and announce it."""
