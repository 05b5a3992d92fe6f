"""The cell: foreign bytes are read in a child process that can be lost.

`Cell` is the `hub.ports.Reader` of the real hub. Raw bytes go to a long-lived child over a socket pair, a
`ParsedMessage` comes back (MessagePack, validated). The child has a memory limit, may write no file, inherits nothing
but its socket, and is killed at its deadline. When it dies on a message, the message is tried once more without reading
PDFs; when that kills it too, the message is `Damaged` and the hub lives on.
"""

from hub.cell.pool import Cell

__all__ = ["Cell"]
