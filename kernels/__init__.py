"""Pure array kernels of temporal action localization (Numba), and their NumPy twins."""
