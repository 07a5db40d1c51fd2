"""Where everything is kept: a folder or a bucket, and the files and objects in it."""
