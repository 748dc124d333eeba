"""A small video backbone, learned from one's own footage. Importing this package does not import torch."""
