"""Where things lie. A variable of the environment moves what is not part of the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAPER = ROOT / "paper"
TEMPLATES = ROOT / "templates"
RUNS = Path(os.environ.get("RESEARCH_RUNS", ROOT / "runs")).absolute()
MODELS = RUNS / "models"
"""Trained models by digest, see `research.training.cache`; deleting it costs only time."""
CACHE = RUNS / "cache"
"""Decoded images, see `research.data.decoded`; deleting it costs only time."""
DATA = Path(os.environ.get("RESEARCH_DATA", ROOT / "data")).absolute()
