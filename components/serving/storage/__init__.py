"""What outlives a request: cached answers, predictions to correct, feedback; Redis."""
