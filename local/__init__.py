"""Runs the project's own Pulumi program, Lambdas and state machine on one machine.

`python -m local --help` shows the commands. Code uses `local.stack`.
"""
