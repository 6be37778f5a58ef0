"""Data sets: archives, shards, rasterization, validation, users' corrections."""
