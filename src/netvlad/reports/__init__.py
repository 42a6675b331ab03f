"""Pages that a person opens in a browser."""
