"""The network of the study `cnn` by hand."""

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional as F

Vectors = npt.NDArray[np.float64]
Weights = dict[str, Tensor]


def by_hand(w: Weights, images: Tensor, relus: bool = True) -> dict[str, Tensor]:
    """Every layer of the network in evaluation mode, in the order of the course's notebook."""
    out = {"normalise": (images - 0.1307) / 0.3081}
    x = out["normalise"]
    for i in (1, 2):
        name = f"features.conv{i}"
        out[f"conv{i}"] = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"])
        out[f"pool{i}"] = x = F.max_pool2d(out[f"conv{i}"], 2)
        x = out[f"relu{i}"] = x.clamp(min=0) if relus else x
    out["fc1"] = F.linear(x.flatten(1), w["neck.fc1.weight"], w["neck.fc1.bias"])
    out["relu3"] = out["fc1"].clamp(min=0)
    out["fc2"] = F.linear(out["relu3"], w["neck.fc2.weight"], w["neck.fc2.bias"])
    out["fc3"] = F.linear(out["fc2"], w["head.fc3.weight"], w["head.fc3.bias"])
    return out
