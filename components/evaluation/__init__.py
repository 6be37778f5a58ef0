"""How well a model reads: metrics, calibration, reports."""
