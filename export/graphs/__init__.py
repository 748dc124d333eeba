"""ONNX graphs: the locator, the center scorer and the backbone, traced from networks."""
