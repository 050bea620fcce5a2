"""`python -m local`: see `local.cli`."""

from local.cli import main

if __name__ == "__main__":
    main()
