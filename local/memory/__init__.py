"""The backend in memory: the real functions and state machine, over a cloud that can fail."""
