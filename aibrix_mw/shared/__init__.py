"""What replicas tell each other through the store: who lives, what is in flight, charges, scrapes, users' records."""
