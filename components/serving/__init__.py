"""The service around the recogniser: who calls, how much they may, and what they are told. No PyTorch."""
