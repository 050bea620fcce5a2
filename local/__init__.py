"""The embedded AWS: runs the project's own Pulumi program, Lambdas and state machine on one machine.

`python -m local --help` shows the commands; `local.stack` is the way in for code (demo, tests, benches).
"""
