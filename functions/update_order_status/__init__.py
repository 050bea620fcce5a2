"""Workflow task: moves an order to its next status and publishes the event."""
