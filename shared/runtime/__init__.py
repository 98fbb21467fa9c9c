"""The machine: it loads rows in bulk, runs pure handlers, and commits rows, cursors and events in one transaction."""
