"""What the hub trusts and is trusted with: certificates and TLS contexts, the list of member domains, and the key ring
of what is kept at rest.

authorities  whom an operator is believed by (IGC-Santé, pinned); tls: contexts; names: is it that server?
revocation   was it revoked? (chain: from leaf to root; crl, ocsp: what authorities state; published: one statement,
             fetched rarely and kept; peers, standing: what was met and how it stands, for alerts)
fetching     HTTP; kept: the last good copy of what was fetched
signing      the certificates with which mails are signed
keys         seals and opens stored bytes; nothing here knows what they mean
"""
