"""The service around the recognizer: who calls, how much they may, and what they are told. No PyTorch."""
