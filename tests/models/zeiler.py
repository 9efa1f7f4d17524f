"""The smallest network of that kind, for tests of what it does and of how it is trained."""

from typing import Any

from research.models import ZFNet


def tiny(**changes: Any) -> ZFNet:
    return ZFNet(1 / 32, 3, **({"side": 47} | changes))
