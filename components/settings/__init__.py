"""All configuration of a stack, read and checked before anything is declared. One file per subject."""
