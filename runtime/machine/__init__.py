"""What a machine offers and what it lacks: cores, libraries, wheels, GPUs."""
