"""Video backbones: networks that turn frames into features.

`folder` reads backbone folders, `preprocess` prepares frames, `extractor` cuts them into clips, `backbone` runs the
graph, `fingerprint` verifies that its features are those of the export.
"""
