"""Workflow task: put the goods of a refused order back on the shelf."""
