"""Workflow task: is this order one that can be fulfilled, and what does it cost?"""
