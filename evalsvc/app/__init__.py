"""The composition root: the only room that sees every other, builds the objects and owns the task group."""
