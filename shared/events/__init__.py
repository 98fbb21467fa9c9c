"""The words: every event, one file per publisher, plus `inbox` for what comes from outside."""
