"""What replicas tell each other through the store: who lives, requests in flight, charges; and records of users."""
