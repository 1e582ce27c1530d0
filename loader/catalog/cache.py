"""Where downloads and dumps are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$DECANT_CACHE, else the user's cache folder."""
    given = os.environ.get("DECANT_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("decant"))
