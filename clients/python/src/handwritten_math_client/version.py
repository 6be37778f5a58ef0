"""The client's version, in one place: pyproject.toml and the User-Agent take it from here."""

__version__ = "0.2.0"
