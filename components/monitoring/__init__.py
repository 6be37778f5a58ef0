"""Drift monitoring: recent predictions of the service compared with the champion's on the test split."""
