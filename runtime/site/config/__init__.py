"""The configuration of a site: its schema, and how it is read and checked."""
