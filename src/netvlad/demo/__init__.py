"""The demo: a small rendered town, and what the command line shows with it."""
