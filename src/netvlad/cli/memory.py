"""Memory that the networks free is kept for their next batch."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BELOW_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Ask glibc to reuse freed blocks below 1 GiB instead of handing them back to the system.

    Every layer of every batch allocates maps of tens of megabytes. By default each is fetched from
    the system, page by page, and handed back; the processor spent nearly as long on that as on
    EfficientNet-Lite0 itself. Does nothing where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        tune = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    tune(_M_MMAP_THRESHOLD, _KEEP_BELOW_BYTES)
    tune(_M_TRIM_THRESHOLD, _KEEP_BELOW_BYTES)
