"""The worker: dramatiq's actors and the broker that brings them the ids of messages to carry (hints, never truth)."""
