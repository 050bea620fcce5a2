"""A Pulumi project that receives orderflow's events."""
