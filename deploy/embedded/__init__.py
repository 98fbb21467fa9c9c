"""PostgreSQL and a Kafka broker from Python wheels, for a machine with nothing installed; and the whole stack on them."""
