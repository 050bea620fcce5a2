"""Errors of modules that take long to import. A command that catches them does not import those."""


class DemoError(Exception):
    """The API's response does not allow the demonstration to continue. The message is one sentence."""


class ProgramError(Exception):
    """The program failed, or uses something that is not supported. The message is one sentence."""
