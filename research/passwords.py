"""Passwords in addresses: a text is cleaned of them before it is stored, shown or uploaded."""

import re

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
