"""Trails: that of a paper as its JSON, and parts of one as types."""

import json
from pathlib import Path
from typing import Any

import pikepdf

from research.provenance.attachment import NAME
from research.provenance.entries import Measured, RunFacts, Shows


def trail(pdf: Path) -> dict[str, Any]:
    """The trail that is embedded in a PDF, unchecked."""
    with pikepdf.open(pdf) as document:
        return dict(json.loads(document.attachments[NAME].get_file().read_bytes()))


def a_run(**facts: Any) -> RunFacts:
    run: dict[str, Any] = {
        "id": "a" * 32, "study": "ae", "preset": "sample", "commit": "0" * 40, "dirty": False,
        "config": {"train.lr": 0.01, "train.device": "cpu"}, "changed": {}, "device": "cpu",
        "seconds": {"training": 100.0}, "models": {}, "data": {}, "versions": {}, "question": "",
        "name": "", "status": "FINISHED", "started": "", "ended": "", "config_digest": "",
        "seeds": (0,),
    }  # fmt: skip
    return RunFacts(**run | facts)


def a_number(**facts: Any) -> Measured:
    entry: dict[str, Any] = {
        "kind": "number", "id": "v-1", "name": "a", "run": "1", "page": 1, "printed": "0.5",
        "rectangle": (0, 0, 1, 1), "value": 0.5, "half_width": None, "n": 1, "low": None,
        "high": None, "values": (), "unit": "", "lone": False, "format": ".1f",
        "shows": Shows(spread=True, unit=True),
    }  # fmt: skip
    return Measured(**entry | facts)
