"""The library: the folders are the flow of data, from archive file to signed champion."""
