"""The locator of a stream without repeated work: a graph that takes the new snippets and what the last run has kept.

A locator run on the window of a live stream computes the whole context again, although only a few snippets are new.
`rewrite` turns any convolutional locator into a *step graph*, whose results are those of the window: its inputs are
the new snippets and a state, which holds the last rows of every layer. `wire` and `graph` read and write ONNX without
the `onnx` package, which the runtime does not have.
"""
