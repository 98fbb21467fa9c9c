"""What is measured, one file a question. Each has an async `measure(place, rounds)` that returns plain data."""
