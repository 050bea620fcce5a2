"""Workflow task: releases the reservation of a refused order."""
