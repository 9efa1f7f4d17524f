"""Pictures of stripes for the tests of the studies `zf` and `zf-features`."""

from pathlib import Path

import numpy as np
from PIL import Image


def pictures(root: Path) -> Path:
    """Stripes of three directions on three tints, 30 + 20 images of each."""
    rng, classes = np.random.default_rng(0), ("across", "down", "sloping")
    x, y = np.meshgrid(np.arange(52), np.arange(52))
    for number, axis in enumerate((y, x, (x + y) / 2**0.5)):
        for split, count in (("train", 30), ("test", 20)):
            folder = root / split / classes[number]
            folder.mkdir(parents=True)
            for i in range(count):
                tint = rng.uniform(0.2, 0.5, 3) + 0.3 * np.eye(3)[number]
                stripes = 0.15 * np.sin(axis * 0.9 + rng.uniform(0, 6.3))[..., None]
                image = tint + stripes + 0.05 * rng.normal(size=(52, 52, 3))
                Image.fromarray(np.uint8(255 * image.clip(0, 1))).save(folder / f"{i:02}.png")
    return root
