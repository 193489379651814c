"""The wire, for all that answers HTTP requests: what was sent, who asks, what is sent back, what is seen of it."""
