"""The four services. They meet only in events; none imports another."""
