"""Leads for the review console that a platform has: Coop or Label Studio."""
