"""Diagnosis: what kind of errors a bundle makes and where, and which clicks may be wrong."""
