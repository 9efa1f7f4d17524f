"""docs/tutorial.md in parts, for tests that do what it tells."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from research.paths import SOURCE

TUTORIAL = (SOURCE / "docs/tutorial.md").read_text(encoding="utf-8")
STUDY = TUTORIAL[TUTORIAL.index("## A study of your own") : TUTORIAL.index("### Hand it in")]
RUNS = TUTORIAL[TUTORIAL.index("## From runs that something else has logged") :]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(f"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def sh(commands: str, folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
