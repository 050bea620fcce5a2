"""Workflow task: reserves the stock of an order and has it shipped."""
