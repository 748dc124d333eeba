"""What a machine has and what it lacks: cores, shared libraries, installed packages, GPUs."""
