"""report.html: one page that opens offline, from an artifact, its dump and its parity numbers."""
