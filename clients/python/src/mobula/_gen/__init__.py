"""Generated from proto/ by buf; never edited."""
