"""How big a model is, how much it should read, and how long the text lasts.

Start with `sizes` (parameters and bytes), then `laws` (loss against parameters and tokens),
`forecast` (when the text runs out), `overoptimisation` (the true reward when a learned one is
pushed).
"""

from course_lib.scaling.sizes import (
    BYTES_PER_PARAMETER,
    DEVICES,
    NONE_OF_THEM,
    PUBLISHED_MODELS,
    holder,
    n_bytes,
    published_parameters,
    readable_bytes,
)

__all__ = [
    "BYTES_PER_PARAMETER",
    "DEVICES",
    "NONE_OF_THEM",
    "PUBLISHED_MODELS",
    "holder",
    "n_bytes",
    "published_parameters",
    "readable_bytes",
]
