"""Groups of items that are scored together. They depend on the items only, not on workers or engine, so that engine
runs shared by several items give the same bytes however the archive is processed."""

from __future__ import annotations

from collections.abc import Sequence

from ._items import Group, Task

GROUP_BYTES = 64 << 20
STREAMED_BYTES = 32 << 20  # feature files of at least this size are read in blocks, in a group of their own
MAX_FEATURES, MAX_VIDEOS = 64, 16
MIN_GROUPS = 32  # if there are enough items, so that workers finish at about the same time


def make_groups(tasks: Sequence[Task], *, archive_items: int, most: int = 0) -> list[Group]:
    """Divide tasks into groups, in order.

    Args:
        tasks: Items to score.
        archive_items: Number of items of the whole archive including finished ones, so that a resumed run makes the
            same groups as the first one.
        most: Maximum number of items per group; 0: depends on the size of the archive.
    """
    limit = most or max(1, archive_items // MIN_GROUPS)
    groups: list[Group] = []
    pending: list[Task] = []
    size = 0

    def close() -> None:
        nonlocal pending, size
        if pending:
            groups.append(Group(len(groups), tuple(pending)))
        pending, size = [], 0

    for task in tasks:
        bound = min(limit, MAX_VIDEOS if task.item.kind == "video" else most or MAX_FEATURES)
        alone = task.item.size >= STREAMED_BYTES
        if pending and (
            alone
            or len(pending) >= bound
            or size + task.item.size > GROUP_BYTES
            or task.item.kind != pending[0].item.kind
        ):
            close()
        pending.append(task)
        size += task.item.size
        if alone:
            close()
    close()
    return groups
