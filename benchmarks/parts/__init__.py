"""What is measured, one file a question. Each has an `measure(place, rounds)` that returns plain data."""
