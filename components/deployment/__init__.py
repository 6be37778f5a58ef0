"""Bentos and the processes that serve them: packaging, smoke test, blue-green deployment."""

import os

# BentoML reads this variable alone, at import; it ignores DO_NOT_TRACK.
os.environ["BENTOML_DO_NOT_TRACK"] = "true"
