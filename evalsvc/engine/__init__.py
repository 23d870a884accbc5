"""The only room that orchestrates: plan → execute → record → finalize."""
