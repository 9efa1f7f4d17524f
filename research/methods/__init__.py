"""Pure functions on tensors and arrays, one method of the field in a file.

Each file is imported when it is first asked for: `research.methods.fgsm.fgsm(...)`.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from research.methods import (
        activations as activations,
    )
    from research.methods import (
        chain as chain,
    )
    from research.methods import (
        classification as classification,
    )
    from research.methods import (
        correspondence as correspondence,
    )
    from research.methods import (
        crops as crops,
    )
    from research.methods import (
        deconvnet as deconvnet,
    )
    from research.methods import (
        deepfool as deepfool,
    )
    from research.methods import (
        distances as distances,
    )
    from research.methods import (
        embedding as embedding,
    )
    from research.methods import (
        fgsm as fgsm,
    )
    from research.methods import (
        filters as filters,
    )
    from research.methods import (
        invariance as invariance,
    )
    from research.methods import (
        near_duplicates as near_duplicates,
    )
    from research.methods import (
        occlusion as occlusion,
    )
    from research.methods import (
        perturbations as perturbations,
    )
    from research.methods import (
        probes as probes,
    )
    from research.methods import (
        receptive_fields as receptive_fields,
    )
    from research.methods import (
        reconstruction as reconstruction,
    )
    from research.methods import (
        resampling as resampling,
    )
    from research.methods import (
        samples as samples,
    )
    from research.methods import (
        signs as signs,
    )
    from research.methods import (
        spaces as spaces,
    )
    from research.methods import (
        statistics as statistics,
    )
    from research.methods import (
        top_activations as top_activations,
    )
    from research.methods import (
        translation as translation,
    )
    from research.methods import (
        universality as universality,
    )

__all__ = sorted(module.name for module in iter_modules(__path__))


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
