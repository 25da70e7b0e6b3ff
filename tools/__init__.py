"""What the Makefile runs: set-up, book, server, refresh, tests."""
