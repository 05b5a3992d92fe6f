"""Hostile mails: made here from nothing, named in `shapes`, varied without end in `variants`."""
