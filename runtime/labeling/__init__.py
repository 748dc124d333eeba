"""`punctum label`: a page on this machine for labeling videos with one click per action."""
