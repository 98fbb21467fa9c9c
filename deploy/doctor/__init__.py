"""What is not well in a running system, in one look: `look` asks, `judge` says what it means and what to do."""
