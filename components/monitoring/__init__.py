"""What the service reads now beside what the model was tested on."""
