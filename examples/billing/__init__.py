"""A Pulumi project that adds a route to the API of another one."""
