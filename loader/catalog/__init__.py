"""models.yaml, and the files that it names: download, check, cache, unpack."""
