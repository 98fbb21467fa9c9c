"""What ops touch: the command line, the embedded parts, provisioning, migrations, topics."""
