"""What ops use: the doctor, alerts, runbooks, and how commands reach a system."""
