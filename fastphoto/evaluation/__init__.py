"""Numbers: measures of a result, and scores relative to a reference."""
