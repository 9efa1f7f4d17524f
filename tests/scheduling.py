"""Which tests run in the same process of pytest-xdist."""

import re

from xdist.scheduler import LoadFileScheduling


class ByStudy(LoadFileScheduling):  # type: ignore[misc]
    """A file goes to one process as a whole, and so does the folder of a study.

    Its tests share a run, which is expensive. The option `--dist loadgroup` would be the way, but
    pytest-xdist 3.8 groups nothing under pytest 9.2
    (https://github.com/pytest-dev/pytest-xdist/issues/1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        study = re.match(r"tests/studies/\w+(?=/)", file)
        return study[0] if study else file
