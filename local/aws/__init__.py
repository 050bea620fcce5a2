"""The embedded AWS: starts the emulator and deploys a program's resources onto it."""
