"""Projects of their own that build on this one."""
