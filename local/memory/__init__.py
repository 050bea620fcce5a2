"""The backend in memory: the real functions and state machine on a simulated AWS, with faults on request."""
