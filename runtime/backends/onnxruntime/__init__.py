"""Engines that run with ONNX Runtime."""
