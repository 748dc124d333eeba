"""What is optimised: points (default), LACP, and the proposal-level losses."""
