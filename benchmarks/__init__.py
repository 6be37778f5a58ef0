"""What is measured: each module is a command, `python -m benchmarks.reading`."""

import components as components  # before PyTorch: it says how its threads wait
