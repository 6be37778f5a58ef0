"""From a request to a prediction: the API's side and the batch side."""
