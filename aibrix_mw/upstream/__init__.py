"""How requests reach the engines."""
