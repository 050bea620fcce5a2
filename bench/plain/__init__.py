"""The plain handler, the reference for all ratios."""
