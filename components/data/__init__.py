"""Data sets: archives, shards, rasterization, validation, user corrections."""
