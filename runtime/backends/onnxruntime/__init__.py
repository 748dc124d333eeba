"""ONNX Runtime on the CPU, and on a GPU through its CUDA or TensorRT provider.

`session` opens one graph strictly on the requested device, `runner` runs it, `backend` runs the two graphs of a bundle.
"""
