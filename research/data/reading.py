"""What was done to the images of a set while they were read, counted, and said in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from research.data.pixels import Kind, Picture, Range
from research.errors import UserError

LEVELS = 32
"""grey levels that the upper halves of 16-bit channels must span at least, of 256"""

_NAMES: dict[Kind, str] = {
    "integers": "grey values of more than 8 bits",
    "floats": "floating-point grey values",
}


@dataclass
class Reading:
    """Counts over the images of a set.

    Attributes:
        counts: trait or kind of `pixels.Picture` -> how many images have it.
        ranges: kind -> the smallest and the largest value of all images of that kind, which share
            one scale so that they stay comparable.
        upper: the same of the channels of which only the upper 8 bits were read.
    """

    counts: Counter[str] = field(default_factory=Counter)
    ranges: dict[Kind, Range] = field(default_factory=dict)
    upper: Range | None = None

    def add(self, picture: Picture) -> None:
        self.counts.update(picture.traits)
        if picture.kind:
            self.counts[picture.kind] += 1
            self.ranges[picture.kind] = _wider(self.ranges.get(picture.kind), picture.range)
        if "halved" in picture.traits:
            self.upper = _wider(self.upper, picture.range)

    def join(self, other: "Reading") -> None:
        """Adds the counts of other images of the set."""
        self.counts.update(other.counts)
        for kind, found in other.ranges.items():
            self.ranges[kind] = _wider(self.ranges.get(kind), found)
        if other.upper:
            self.upper = _wider(self.upper, other.upper)

    def check(self) -> None:
        """Raises UserError where too little is left of 16-bit channels."""
        if self.upper and self.upper[1] - self.upper[0] < LEVELS:
            levels = self.upper[1] - self.upper[0] + 1
            raise UserError(
                f"{self.counts['halved']:,} colour images have 16 bits a channel, of which the "
                f"upper 8 are read, and these span only {levels:.0f} of 256 levels: save the "
                "images with 8 bits a channel, scaled as they should be seen"
            )

    def told(self) -> list[str]:
        """One phrase for each thing that was done."""
        counts, phrases = self.counts, []
        for kind, (low, high) in sorted(self.ranges.items()):
            spread = f"from {low:,.6g} to {high:,.6g} taken to 0 to 255"
            phrases.append(f"{_NAMES[kind]} ({_images(counts[kind])}) {spread}")
        says = {
            "halved": "channels of 16 bits ({}) by their upper 8 bits",
            "transparent": "transparent pixels ({}) over white",
            "turned": "turned as their EXIF orientation says: {}",
            "frames": "of several frames the first ({})",
        }
        phrases += [say.format(_images(counts[name])) for name, say in says.items() if counts[name]]
        return phrases

    def as_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "ranges": self.ranges, "upper": self.upper}

    @classmethod
    def of_json(cls, noted: Mapping[str, Any]) -> "Reading":
        """Raises KeyError, TypeError or ValueError for what `as_json` did not make."""
        ranges = {kind: (float(low), float(high)) for kind, (low, high) in noted["ranges"].items()}
        upper = noted["upper"]
        return cls(Counter(noted["counts"]), ranges, (upper[0], upper[1]) if upper else None)


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _wider(known: Range | None, found: Range) -> Range:
    return (min(known[0], found[0]), max(known[1], found[1])) if known else found
