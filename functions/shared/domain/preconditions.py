"""What must hold before a record changes, as `If-Match` and `If-None-Match` of a request say."""

from __future__ import annotations

from typing import NamedTuple


class Precondition(NamedTuple):
    """The condition of a PUT. Without one the record is created or replaced.

    `versions` are the versions that may be replaced, or None for all.
    """

    versions: set[int] | None = None
    must_exist: bool = False
    must_be_new: bool = False
