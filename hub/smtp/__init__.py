"""The door out: mails to an operator's submission server, over mutual TLS. `client` is the hand, `answers` says what
a server's reply means, `route` how the mails of one mailbox leave."""
