"""Hand tests to pytest's processes by groups: what is costly and shared is then made once.

pytest-xdist 3.8 has `--dist loadgroup` for this, but it writes the groups where pytest 9.2 does not
read them, and so deals the tests of one group out to all processes without a word.
"""

from __future__ import annotations

from collections.abc import Callable

from xdist.scheduler import LoadScopeScheduling


class ByGroup(LoadScopeScheduling):
    """Each group goes to one process as a whole, the largest first."""

    def __init__(self, config, log, group_of: Callable[[str], str]) -> None:  # type: ignore[no-untyped-def]
        """Take what the hook `pytest_xdist_make_scheduler` gives, and the group of a test's id."""
        super().__init__(config, log)
        self._split_scope = group_of
