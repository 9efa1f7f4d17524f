"""The exceptions that a user is meant to see."""


class UserError(Exception):
    """A mistake the user can mend.

    The message is one line: what is required, what we got, what to do. The command line prints
    it without a traceback and leaves with exit code 2.
    """


class ArgumentError(UserError, ValueError):
    """An argument of a method that it cannot work with; the message names the argument."""


class GapError(UserError):
    """Something that the write-up names is not there yet: a draft prints a box in its place."""
