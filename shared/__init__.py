"""What the four services share: the events, a few values, and the machine that runs them."""
