"""The page of `punctum serve`: plain HTML, CSS and JavaScript modules, served by the API."""
