"""`punctum train` and `punctum train-backbone`, as factories that take the exporter."""
