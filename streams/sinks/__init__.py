"""Where alerts go: a pure renderer per target, and shells that send what it makes."""
