"""The process of one camera: it opens the source, computes features, and sends them to the supervisor."""
