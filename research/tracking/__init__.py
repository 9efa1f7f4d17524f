"""Where runs are kept: MLflow, or a plain folder that can be synced into MLflow later.

A study sees only `Log`. What it logs lands in a *record* (see `research.records`), one folder per
run that is complete by itself; MLflow gets the same parameters, curves, tags and files. Reading
runs imports neither MLflow nor torch.
"""

from research.tracking.log import Log, Opening, OpenRun, Store, Summary
from research.tracking.store import open_run, open_store

__all__ = ["Log", "OpenRun", "Opening", "Store", "Summary", "open_run", "open_store"]
