"""Files that are complete or absent, and checks of where results go."""
