"""The exceptions that a user is meant to see, and how a failing file comes to be one."""

import errno
import re


class UserError(Exception):
    """A mistake the user can mend.

    The message is one line: what is required, what we got, what to do. The command line prints
    it without a traceback and leaves with exit code 2. A password in it is never shown.
    """

    def __str__(self) -> str:
        return hidden(super().__str__())


_REMEDIES = {
    errno.ENOSPC: "make room there, or keep the runs elsewhere with --log or RESEARCH_RUNS",
    errno.EDQUOT: "make room there, or keep the runs elsewhere with --log or RESEARCH_RUNS",
    errno.EFBIG: "the system limits the size of files (ulimit -f): raise it",
    errno.EROFS: "it cannot be written there: choose another place with --log or RESEARCH_RUNS",
    errno.EACCES: "ask for access, or choose another place with --log or RESEARCH_RUNS",
    errno.EPERM: "ask for access, or choose another place with --log or RESEARCH_RUNS",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the path, or bring the file back",
    errno.EISDIR: "a file is required there: move the folder away",
    errno.ENOTDIR: "a folder is required there: move the file away",
    errno.EEXIST: "move what is there away",
    errno.EMFILE: "the system limits open files (ulimit -n): raise it",
}


def in_a_line(error: OSError) -> str:
    """`FILE: No space left on device; make room …`, for whatever the system refuses."""
    reason = error.strerror or str(error) or type(error).__name__
    named = f"{error.filename}: {reason}" if error.filename else reason
    remedy = _REMEDIES.get(error.errno or 0)
    return hidden(f"{named}; {remedy}" if remedy else named)


class ArgumentError(UserError, ValueError):
    """An argument of a method that it cannot work with; the message names the argument."""


class GapError(UserError):
    """Something that the write-up names is not there yet: a draft prints a box in its place."""


# --- passwords in addresses: a text is cleaned of them before it is stored, shown or uploaded ----

HIDDEN = "***"

# up to the last @ of the host's part, or of the whole word: a password may hold / or @ unescaped
_WHO = re.compile(r"(?<=://)(?:[^\s/?#'\"<>]*@|[^\s'\"<>:/]*:[^\s'\"<>]*@)")
_FIELD = re.compile(
    r"(?<=[?&;])(?P<name>[\w.-]*(?:passw(?:or)?d|passphrase|pwd|token|secret|api-?_?key)[\w.-]*)"
    r"=[^\s&;#'\"<>]+",
    re.IGNORECASE,
)


def hidden(text: str) -> str:
    """The text with `***` for whoever an address names as its user, and for his password.

    `http://ada:pw@host` becomes `http://***@host`: a token often stands where the user's name does.
    Fields such as `?password=pw` lose their value.
    """
    if "://" in text:
        text = _WHO.sub(f"{HIDDEN}@", text)
    return _FIELD.sub(rf"\g<name>={HIDDEN}", text) if "=" in text else text
