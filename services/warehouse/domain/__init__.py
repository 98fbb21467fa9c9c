"""The rules of the warehouse: pure, by noun."""
