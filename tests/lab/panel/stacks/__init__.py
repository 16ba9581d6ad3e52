"""One module per family of TLS stacks; each has `start(panel)`."""
from . import node, openssl102

STACKS = [node, openssl102]
