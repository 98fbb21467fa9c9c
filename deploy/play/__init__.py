"""Playing a shop from outside, through the public edges only: Kafka inboxes, HTTP, and the topics that everybody may read."""
