"""The plain handler: what everything else is measured against."""
