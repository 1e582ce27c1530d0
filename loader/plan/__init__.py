"""What is computed, and in which order: steps, deploy form, batch, probe, plugins, missing weights."""
