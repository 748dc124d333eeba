"""Networks: the locator, the proposal-level heads, and integral pooling, all exportable to ONNX."""
