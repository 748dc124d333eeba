"""Which items share a worker's turn. Composition depends on the items alone, never on workers or engine: runs of the
engine that several items share then give the same bytes however the archive is worked off."""

from __future__ import annotations

from collections.abc import Sequence

from ._items import Group, Task

GROUP_BYTES = 64 << 20
STREAMED_BYTES = 32 << 20  # features files from this size on are read in blocks, alone
MOST_FEATURES, MOST_VIDEOS = 64, 16
SHARES = 32  # groups at least, where there are enough items: the last ones even out the workers


def make_groups(tasks: Sequence[Task], *, archive_items: int, most: int = 0) -> list[Group]:
    """Tasks in the order given, in portions. archive_items: of the whole archive, done ones included, so that a
    resumed run makes the portions that the first one made."""
    limit = most or max(1, archive_items // SHARES)
    groups: list[Group] = []
    held: list[Task] = []
    size = 0

    def close() -> None:
        nonlocal held, size
        if held:
            groups.append(Group(len(groups), tuple(held)))
        held, size = [], 0

    for task in tasks:
        bound = min(limit, MOST_VIDEOS if task.item.kind == "video" else most or MOST_FEATURES)
        alone = task.item.size >= STREAMED_BYTES
        if held and (
            alone or len(held) >= bound or size + task.item.size > GROUP_BYTES or task.item.kind != held[0].item.kind
        ):
            close()
        held.append(task)
        size += task.item.size
        if alone:
            close()
    close()
    return groups
