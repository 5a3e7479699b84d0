"""What a platform makes of scores: policies, rules for listings, decisions."""
