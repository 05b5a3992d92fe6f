"""A fake MSSanté operator with fictional people: for the demo, for training and for integrators.

`authority` makes certificates, `operator` runs SMTP and IMAP on loopback, `people` are the fictional structures and
usagers, `letters` composes their mails, `scenario` is the list that the demo drops and what the hub must do of each;
`secretary` writes and sends as a mail program does, `answering` is how her correspondents answer, `outgoing` what she
sends in the demo and what must become of it.
Everything here is invented; nothing of it may ever reach a real mailbox.
"""
