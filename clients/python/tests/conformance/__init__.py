"""Programs as users of Ray write them, run on Mobula and on Ray."""
