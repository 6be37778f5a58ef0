"""From a checkpoint to a bundle: ONNX graphs, quantization, model card, publication."""
