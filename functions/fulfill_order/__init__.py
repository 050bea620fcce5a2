"""Workflow task: take the goods off the shelf and have them shipped."""
