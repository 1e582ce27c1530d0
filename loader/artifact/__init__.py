"""What is written in the end, and taken up again: folder, manifest, conversion, loading."""
