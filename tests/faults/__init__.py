"""`make faults`: breaks the system on real parts on purpose, and shows that nothing is lost, doubled or out of order.

Two replicas of each service run as processes on three nodes of Apache Kafka and a PostgreSQL server in containers. A steady
load of orders goes through the public edges; every answer 2xx and every acknowledged record is remembered (`load.py`). Faults
come in random order from a printed seed (`injections.py`); after each round everything must drain by itself, and a checker
that uses none of our code compares what was accepted with what databases and topics hold (`checker.py`, `witness.py`).
"""
