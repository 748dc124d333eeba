"""Differences between two configurations, for the log."""

from __future__ import annotations

from .models import SiteConfig


def other_changes(before: SiteConfig, after: SiteConfig) -> list[str]:
    """Changes of a reload other than cameras and bundles, one phrase each."""
    old, new = before.sinks, after.sinks
    sets = (
        ("outputs added", [name for name in new if name not in old]),
        ("outputs removed", [name for name in old if name not in new]),
        ("outputs started again", [name for name in new if name in old and old[name] != new[name]]),
    )
    found = [f"{what}: {', '.join(names)}" for what, names in sets if names]
    kept, keep = before.retention, after.retention
    changed = [field for field in type(keep).model_fields if getattr(kept, field) != getattr(keep, field)]
    if changed:
        found.append(f"retention changed: {', '.join(changed)}")
    if before.name != after.name:
        found.append("name changed")
    return found
