"""torch.hub entry points: `torch.hub.load(".", "googlenet_bvlc", source="local")`.

One function per catalog model; each returns (module, transform) of the artifact in
$DECANT_ARTIFACTS or ./artifacts.
"""

from __future__ import annotations

from decant import loader
from decant.loader.catalog.models import load_catalog

dependencies = ["torch", "safetensors", "yaml", "pydantic"]

for _name in load_catalog().models:
    globals()[_name] = getattr(loader, _name)
