"""All SQL of the house: one connection that writes, one that reads, numbered migrations."""
