"""The upstream's dialect: "OpenAI-compatible" as its many speakers understand it."""
