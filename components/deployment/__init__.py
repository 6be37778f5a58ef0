"""Bentos and the processes that serve them: packaging, smoke test, blue-green change."""
