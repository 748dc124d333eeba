"""Limits of a bundle. A manifest is untrusted data, so its values are bounded before anything is built from them.

The limits are far beyond the needs of any locator or backbone in use, and small enough that no accepted manifest makes
a machine run out of memory or a session loop for minutes. Sizes that multiply are bounded as products.
"""

from __future__ import annotations

MANIFEST_BYTES = 4 << 20
"""Size of manifest.json, and of backbone.json."""
ENTRIES = 10_000
"""Members of a zip, whether listed in the manifest or not."""
FILES = 1_000
"""Files that a manifest lists."""
BUNDLE_BYTES = 8 << 30
"""Size of all listed files together, in a folder."""
FILE_BYTES = 2 << 30
"""Size of one file, the limit of protobuf and therefore of ONNX. Also of all files of a zip together, unpacked."""
PATH_CHARACTERS = 512
"""Length of a listed file's name, folders included."""
PART_BYTES = 255
"""Length of each part of such a name, the limit of common file systems."""

NAME_CHARACTERS = 128
"""Length of a bundle's name, of its version, and of the name of a precision."""
TEXT_CHARACTERS = 1_024
"""Length of any other short text, such as the name of a graph's input."""
LABELS = 10_000
LABEL_CHARACTERS = 1_024
PRECISIONS = 32

DIMENSION = 1 << 16
"""Columns of the features."""
LEAST_STRIDE_S = 1e-4
MOST_STRIDE_S = 3_600.0
FIELD = 1 << 16
"""Snippets of a receptive field, on each side."""
CONTEXT_S = 3_600.0
"""Limit of right_context_s."""
ISLAND_S = 86_400.0
"""Limit of max_island_s."""
WINDOW = 1 << 20
"""Snippets that a session may have to keep: receptive field, context on both sides, and one island."""
WINDOW_VALUES = 1 << 28
"""WINDOW x dimension of the features: 1 GiB of float32."""
THRESHOLDS = 1_000
PROPOSALS = 1 << 16
"""Proposals of one island and class; beyond that only the best are kept."""
KNOTS = 256
"""Knots of the calibration map of one class."""
RATE = 1e9
"""Events per hour."""
EXPONENT = 100.0
"""Exponent of a term of the fused score."""
FACTOR = 100.0
"""Widths relative to a proposal: context and contrast_margin."""
LEAST_SIGMA, MOST_SIGMA = 1e-6, 1e6

FPS = 1_000.0
CLIP_FRAMES = 4_096
SNIPPET_FRAMES = 100_000
SIDE = 16_384
"""Rows or columns of the image at the input of a backbone."""
CLIP_VALUES = 1 << 28
"""Values in the frames of one clip and one snippet together: 1 GiB of float32."""
SCALE = 1e6
"""Magnitude of mean and std in preprocessing; std also not below 1 / SCALE."""
BACKBONE_PARTS = 64
"""Parts of a composed backbone."""
STATISTICS = 256
"""Numbers in one list of a fingerprint."""
