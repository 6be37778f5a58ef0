"""What is kept, and what goes: Bentos, model versions, records, logs and the DVC cache, by params.yaml."""
