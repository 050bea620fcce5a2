"""The embedded AWS: the emulator, and what deploys a program's resources onto it."""
