"""Groups of commands: one module each, which `cli` puts together."""
