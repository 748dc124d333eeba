"""Delivery of reports to the sinks of a site: each in a thread of its own, from an outbox in the store."""
