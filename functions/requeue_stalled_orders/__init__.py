"""Scheduled: finds the orders that nobody works on any more, and gets them going again."""
