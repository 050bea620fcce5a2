"""Workflow task: checks whether an order can be fulfilled, and prices it."""
