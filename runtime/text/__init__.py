"""Names, numbers, delimited text and JSON as people and tools write them, and text made safe to print."""
