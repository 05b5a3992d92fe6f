"""What the hub trusts and is trusted with: certificates and TLS contexts, and the key ring of what is kept at rest.

`keys` seals and opens stored bytes; nothing here knows what they mean.
"""
