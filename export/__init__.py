"""Turn a training run into a verified bundle of ONNX graphs, and bundles into variants and model repositories."""
