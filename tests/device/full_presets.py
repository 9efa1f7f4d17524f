"""Runs the preset `full` of every study at small settings, one after another, the cheapest first.

    python tests/device/full_presets.py OUT [--device cuda] [--limit 120] [--studies ae fgsm]

One line a study: finished, refused or failed, the seconds, and the last line that it printed. Data
are MNIST and a tree `cifar10-jpeg` below RESEARCH_DATA, and what installed packages carry. Nothing
but what a study itself needs is imported: no MLflow, no WeasyPrint.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RESEARCH_DATA", ROOT / "data")).absolute()

BATTERY = "--checked 50 --crafted 200 --judged 200 --cells 100 --random 10 --deepfool 10"
CIFAR = f"--data.name folder --data.root {DATA / 'cifar10-jpeg'}"
SMALL = {
    "seq2seq": "--data.size 500 --data.valid 100 --data.test 100 --copy-epochs 1",
    "cnn": "--data.name mnist-sample --relu-seeds 1 --resamples 50 --permutations 50 "
    "--map-points 500 --perplexities 10 30",
    "mlp": "--doses 0 30 --dose-seeds 1 --noise-images 1000",
    "ae": f"{CIFAR} --map-points 500",
    "fgsm": f"{BATTERY} --lenet-epochs 1 --paper-epochs 1 --lengths 1 --rubbish 1000",
    "vgg": f"{CIFAR} {BATTERY} --frozen-epochs 1",
    "autoencoders": "--train.batch 200 --digit-maps 4 --picture-maps 32 --picture-epochs 1 "
    "--pictures.size 32",
    "zf": "--data.name photos --data.size 72 --side 64 --window 16 --stride 8 --occluded 5 "
    "--moved 20 --shown 2 --train.batch 32 --train.lr 0.001",
    "zf-features": "--data.name photos --data.size 72 --side 64 --target.name mnist-sample "
    "--k 2 5 --splits 2 --judged 10 --scratch-steps 20 --penalties 1 100 --train.batch 32 "
    "--train.lr 0.001",
}
"""study -> flags for the least work; the order is that of the time they take"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the runs and what they print")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one study")
    parser.add_argument("--studies", nargs="*", default=list(SMALL))
    parser.add_argument("--more", default="", help="flags for every study, after these")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    done = [run(slug, given) for slug in given.studies]
    print(f"{done.count('finished')} of {len(done)} finished", flush=True)
    return int(done.count("finished") < len(done))


def run(slug: str, given: argparse.Namespace) -> str:
    """Runs a study and prints its line; how it ended."""
    flags = ["--preset", "full", "--seeds", "0", "1", "--train.epochs", "1", *SMALL[slug].split()]
    flags += ["--train.device", given.device, "--log", f"folder:{given.out / 'runs'}"]
    command = [sys.executable, "-m", "research", "run", slug, *flags, *given.more.split()]
    log, start = given.out / f"{slug}.log", time.monotonic()
    with log.open("w") as file:
        try:
            environ = os.environ | {"RESEARCH_RUNS": str(given.out / "store")}
            code = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=environ,
                timeout=given.limit,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = -1
    ends = {0: "finished", 2: "refused", -1: f"not ended after {given.limit:.0f} s"}
    ended = ends.get(code, f"failed ({code})")
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    print(f"{slug:13} {ended:10} {time.monotonic() - start:6.0f} s  {last[:200]}", flush=True)
    return ended


if __name__ == "__main__":
    sys.exit(main())
