"""The one exception a user is meant to see."""


class UserError(Exception):
    """A mistake the user can mend.

    The message is one line: what is required, what was given, what to do. The command line prints
    it without a traceback and leaves with exit code 2.
    """


class GapError(UserError):
    """Something that the write-up names is not there yet: a draft prints a box in its place."""
