"""`punctum serve`: many cameras in one service, with outputs that lose nothing, an API and a page."""
