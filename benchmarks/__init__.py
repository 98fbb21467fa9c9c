"""Measurements against real Kafka and PostgreSQL; `make bench` runs them, docs/performance.md shows them."""
