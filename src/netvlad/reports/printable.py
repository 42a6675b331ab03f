"""Text that can be written: a file name need not be UTF-8."""

import re

# What Python makes of bytes that are no UTF-8, and JSON of half a pair.
_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """The text, a replacement character for each byte that is no UTF-8.

    Examples:
        >>> printable("caf\\udce9.jpg") == "caf\\N{REPLACEMENT CHARACTER}.jpg"
        True
    """
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
