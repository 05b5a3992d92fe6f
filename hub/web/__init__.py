"""The role `hub web`: what the hub shows over HTTP. Presentation only: what is shown is made elsewhere.

`/health` and `/metrics` are made of the same alerts and facts as `hub status` (`hub.alerts`): 503 as soon as an alert
is urgent. `/certificates` lists for people what expires (`hub certs`). No secret, no name of a person, no address but
what a certificate bears; bound to this machine unless the settings say otherwise.
"""
