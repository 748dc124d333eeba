"""A small video backbone, trained on the user's own footage. Importing this package does not import torch."""
