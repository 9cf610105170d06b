"""HTTP in. No translation, no environment."""
