"""The role `hub web`: what the hub shows over HTTP. Presentation only: what is shown is made elsewhere.

`/health` and `/metrics` are made of the same alerts and facts as `hub status` (`hub.alerts`): 503 as soon as an alert
is urgent. No secret, no address, no name of a person; bound to this machine unless the settings say otherwise.
"""
