"""A program of its own: the roles under which GitHub Actions previews and deploys one stack."""
