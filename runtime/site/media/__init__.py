"""Clips and pictures of events, made from the compressed packets of a camera without decoding it twice."""
