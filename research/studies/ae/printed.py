"""What the sources of the study `ae` print."""

from research.records.printed import Printed

PRINTED: tuple[Printed, ...] = ()
UNMEASURED = (
    "The losses that the notebook prints could not be read, and its derivatives print none of "
    "their own that are known: there is nothing to set ours beside."
)
