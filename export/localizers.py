"""A localizer of a bundle around a given backend."""

from __future__ import annotations

from punctum.runtime import Bundle, Localizer
from punctum.runtime.session.engine import Backend


def localizer_around(bundle: Bundle, backend: Backend) -> Localizer:
    """The localizer of a bundle, its graphs run by `backend`."""
    manifest = bundle.manifest
    return Localizer.from_parts(
        backend,
        labels=bundle.labels,
        dim=manifest.features.dim,
        stride_s=manifest.features.stride_s,
        post=manifest.post,
        receptive_field=(manifest.locator.left, manifest.locator.right),
        bundle_id=bundle.id,
        overhang_s=manifest.backbone.overhang_s if manifest.backbone else 0.0,
    )
