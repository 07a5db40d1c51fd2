"""From a source to Arrow shards, and from shards to the rows of each step."""
