"""Who serves what: pods, the registry of them, and how they are found."""
