"""The rules of orders: pure, by noun."""
