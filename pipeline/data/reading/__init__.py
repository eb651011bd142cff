"""How images are read: layouts, tables, folders and shards, and the two halves that a search and its supernet share."""
