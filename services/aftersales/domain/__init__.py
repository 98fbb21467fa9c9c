"""The rules of after-sales: pure, by noun."""
