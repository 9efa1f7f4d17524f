"""An experiment-tracked research report generator, and the methods that its studies use.

A study asks one question, trains what it needs, measures, and logs everything; a write-up turns
one logged run into a paper:

    config -> data -> models -> training -> methods -> records -> figures      research run ae
                                                          |
                                           report -> paper/ae.pdf              research report ae

From a script or a notebook:

    >>> import research
    >>> data = research.load_data("mnist-sample")
    >>> data.shape, len(data.classes)
    ((1, 28, 28), 10)

- `open_run("ae")`: the newest run of a study, its numbers, tables, arrays and figures
- `load_data("mnist")`: images and labels in memory
- `methods`: pure functions on tensors: `research.methods.fgsm.fgsm(model, images, labels, eps)`

Nothing is imported before it is asked for, PyTorch least of all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from research import methods as methods
    from research.data import load_data as load_data
    from research.tracking import open_run as open_run

__all__ = ["load_data", "methods", "open_run"]

_HOMES = {"load_data": "research.data", "open_run": "research.tracking"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "methods":
        return import_module("research.methods")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
