"""Backbones of several parts: networks whose features stand side by side, in one ONNX graph.

`known` lists networks with published weights, `weights` and `packages` find and fetch these, `tfjs`, `movenet` and
`pose` make the graph of a pose network, `source` reads what a part is made from, `canvas` chooses the clips that all
parts can be cut from, `assemble` writes the graph, `components` fits principal components, `compose` does all of it and
compares the graph with the separate networks.
"""
