"""What programs and tests commonly use of Ray's ``ray._common``."""
