"""A separate program: the roles with which GitHub Actions previews and deploys one stack."""
