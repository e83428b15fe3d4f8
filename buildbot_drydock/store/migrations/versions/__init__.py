"""One module per revision of the schema, the newest of which is what this package works with."""
