"""Scheduled: gives each stalled order a new attempt, or fails it."""
