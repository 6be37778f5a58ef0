"""Run the stages of dvc.yaml from Python."""
